namespace Coordinator.Orchestrator.Tests.Json;

using System.Text;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Json;
using Coordinator.Processing.V1;

public sealed class MessageReaderTests
{
    [Fact]
    public void A_legacy_spelling_is_taken_and_noted()
    {
        var (message, legacy) = Read("""{"idWorkflow": "w", "labels": {"IdModel": "a"}}""");

        Assert.Equal("w", message.WorkflowId);
        Assert.Equal("a", message.Labels["IdModel"]);
        Assert.Equal("idWorkflow: a legacy spelling, write workflowId", Assert.Single(legacy).Warning);
    }

    [Fact]
    public void What_stands_inside_a_Struct_belongs_to_the_caller()
    {
        var (message, legacy) = Read("""{"parameters": {"idModel": "a", "model_id": {"ModelId": 1}}}""");

        Assert.Equal(["idModel", "model_id"], message.Parameters.Fields.Keys.Order());
        Assert.Empty(legacy);
    }

    [Fact]
    public void Two_keys_for_one_field_are_a_fault_that_names_both()
    {
        var fault = FaultOf("""{"modelId": "a", "idModel": "b"}""");

        Assert.Equal(ErrorReason.FieldConflict, fault.Reason);
        Assert.Equal("given twice, as 'modelId' and as 'idModel'", fault.Description);
    }

    [Theory]
    [InlineData("""{"modelId": "a", "modelId": "b"}""")]
    [InlineData("""{"parameters": {"x": 1, "x": 2}}""")]
    [InlineData("""{"modelId": """)]
    [InlineData("[]")]
    [InlineData("modelId=a")]
    public void What_is_not_an_object_of_JSON_is_a_fault(string json) => Assert.Equal("", FaultOf(json).Path);

    [Theory]
    [InlineData("""{"modelId": "\ud800"}""")]
    [InlineData("""{"\ud800": 1}""")]
    [InlineData("""{"labels": {"\ud800": "a"}}""")]
    [InlineData("""{"durability": "\ud800"}""")]
    [InlineData("""{"parameters": {"text": "\ud800"}}""")]
    public void Text_that_is_no_Unicode_is_a_fault(string json) => Assert.Equal("", FaultOf(json).Path);

    [Fact]
    public void Text_in_another_encoding_is_a_fault()
    {
        var json = Encoding.Latin1.GetBytes("""{"modelId": "é"}""");

        var refused = Assert.Throws<RequestRefusedException>(() => MessageReader.Read(json, PostWorkflowExecuteRequest.Descriptor));

        Assert.Equal("", refused.Faults[0].Path);
    }

    [Fact]
    public void Of_many_faults_the_first_are_told()
    {
        var values = string.Join(',', Enumerable.Repeat("true", 1000));

        var refused = Assert.Throws<RequestRefusedException>(() => Read($$"""{"payloads": {"page": {"tensor": {"shape": [{{values}}] } } } }"""));

        Assert.Equal(64, refused.Faults.Count);
    }

    [Fact]
    public void A_legacy_spelling_that_stands_in_each_of_many_is_noted_once()
    {
        var payloads = string.Join(',', Enumerable.Range(0, 1000).Select(number => $$"""
            "p{{number}}": {"media_Type": "image/png"}
            """));

        var (message, legacy) = Read($$"""{"payloads": { {{payloads}} } }""");

        Assert.Equal(1000, message.Payloads.Count);
        Assert.Equal("payloads.p0.media_Type", Assert.Single(legacy).Path);
    }

    [Fact]
    public void A_byte_order_mark_is_left_out() => Assert.Equal("w", Read("\uFEFF{\"workflowId\": \"w\"}").Message.WorkflowId);

    [Theory]
    [InlineData("""{"parameters": {"x": 1e400}}""")]
    [InlineData("""{"parameters": {"x": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}""")]
    public void What_a_Struct_cannot_hold_is_said_to_be_that(string json) => Assert.StartsWith("nested too deeply", FaultOf(json).Description, StringComparison.Ordinal);

    [Fact]
    public void An_unknown_field_is_a_fault_with_its_path_and_the_nearest_name()
    {
        var fault = FaultOf("""{"payloads": {"page": {"mediatipe": "image/png"}}}""");

        Assert.Equal(ErrorReason.FieldUnknown, fault.Reason);
        Assert.Equal("payloads.page.mediatipe", fault.Path);
        Assert.Equal("mediaType", fault.Suggestion);
    }

    [Theory]
    [InlineData("""{"modelId": 3}""", "modelId", "expected a string, not 3")]
    [InlineData("""{"priority": "high"}""", "priority", "expected a whole number of 32 bits, not \"high\"")]
    [InlineData("""{"priority": 1.5}""", "priority", "expected a whole number of 32 bits, not 1.5")]
    [InlineData("""{"priority": 3000000000}""", "priority", "expected a whole number of 32 bits, not 3000000000")]
    [InlineData("""{"background": "yes"}""", "background", "expected true or false, not \"yes\"")]
    [InlineData("""{"timeout": "soon"}""", "timeout", "expected a duration such as \"1.5s\", not \"soon\"")]
    [InlineData("""{"parameters": [1]}""", "parameters", "expected an object, not an array")]
    [InlineData("""{"labels": "a"}""", "labels", "expected an object, not a string")]
    [InlineData("""{"payloads": {"page": {"inlineBytes": "*"}}}""", "payloads.page.inlineBytes", "expected bytes in base64, not \"*\"")]
    [InlineData("""{"payloads": {"page": {"tensor": {"shape": [1, "x"]}}}}""", "payloads.page.tensor.shape[1]", "expected a whole number of 64 bits, not \"x\"")]
    [InlineData("""{"durability": "FULL"}""", "durability", "Durability has no value 'FULL'")]
    public void A_value_of_another_type_is_a_fault_at_its_path(string json, string path, string description)
    {
        var fault = FaultOf(json);

        Assert.Equal((path, description), (fault.Path, fault.Description));
    }

    [Fact]
    public void The_short_name_of_a_value_finds_the_whole_one() =>
        Assert.Equal("DURABILITY_FULL", FaultOf("""{"durability": "full"}""").Suggestion);

    [Fact]
    public void All_faults_are_told_at_once()
    {
        var refused = Assert.Throws<RequestRefusedException>(() => Read("""{"modelId": 3, "nothing": 1, "timeout": 1}"""));

        Assert.Equal(["modelId", "nothing", "timeout"], refused.Faults.Select(fault => fault.Path));
    }

    private static (PostWorkflowExecuteRequest Message, IReadOnlyList<LegacySpelling> Legacy) Read(string json)
    {
        var (message, legacy) = MessageReader.Read(Encoding.UTF8.GetBytes(json), PostWorkflowExecuteRequest.Descriptor);
        return ((PostWorkflowExecuteRequest)message, legacy);
    }

    private static FieldFault FaultOf(string json) => Assert.Throws<RequestRefusedException>(() => Read(json)).Faults[0];
}
