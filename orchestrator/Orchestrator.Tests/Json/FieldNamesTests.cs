namespace Coordinator.Orchestrator.Tests.Json;

using Coordinator.Orchestrator.Json;
using Coordinator.Processing.V1;
using Google.Protobuf.Reflection;

public sealed class FieldNamesTests
{
    private static readonly MessageDescriptor[] Requests = [.. ProcessingService.Descriptor.Methods.Select(method => method.InputType)];

    [Fact]
    public void Every_field_of_every_request_is_found_by_each_of_its_spellings()
    {
        foreach (var field in Requests.SelectMany(request => request.Fields.InDeclarationOrder()))
        {
            var names = FieldNames.Of(field.ContainingType);
            Assert.All(SpellingsOf(field), spelling => Assert.Same(field, names.Find(spelling)));
        }
    }

    [Fact]
    public void Only_the_names_of_the_contract_need_no_warning()
    {
        foreach (var field in Requests.SelectMany(request => request.Fields.InDeclarationOrder()))
        {
            var names = FieldNames.Of(field.ContainingType);
            Assert.False(names.IsLegacy(field.Name));
            Assert.False(names.IsLegacy(field.JsonName));
            Assert.True(names.IsLegacy(field.PropertyName));
        }
    }

    [Theory]
    [InlineData("idModels")]
    [InlineData("IdModels")]
    [InlineData("idsModel")]
    [InlineData("ids_models")]
    [InlineData("ModelIds")]
    public void Lists_of_ids_are_found_with_the_plural_at_either_word(string spelling) =>
        Assert.Equal("model_ids", FieldNames.Of(PostBatchCreateRequest.Descriptor).Find(spelling)?.Name);

    [Theory]
    [InlineData("modelIdd", "modelId")]
    [InlineData("workfowId", "workflowId")]
    [InlineData("id_modle", "")]
    [InlineData("colour", "")]
    public void The_nearest_name_is_told_if_there_is_one(string wrong, string nearest)
    {
        var names = FieldNames.Of(PostWorkflowExecuteRequest.Descriptor);
        Assert.Null(names.Find(wrong));
        Assert.Equal(nearest, names.Nearest(wrong));
    }

    private static List<string> SpellingsOf(FieldDescriptor field)
    {
        var spellings = new List<string> { field.Name, field.JsonName, field.PropertyName, field.Name.ToUpperInvariant() };
        if (field.Name.EndsWith("_id", StringComparison.Ordinal) && field.Name.Count(letter => letter == '_') == 1)
        {
            var noun = field.Name[..^3];
            var pascal = char.ToUpperInvariant(noun[0]) + noun[1..];
            spellings.AddRange([$"id{pascal}", $"Id{pascal}", $"id_{noun}", $"{noun}ID"]);
        }
        return spellings;
    }
}
