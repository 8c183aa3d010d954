namespace Coordinator.Orchestrator.Tests.Json;

using System.Reflection;
using System.Text.Json.Nodes;
using Coordinator.Orchestrator.Controllers;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Telemetry;
using Coordinator.Processing.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Routing;
using Microsoft.Extensions.Logging;

/// <summary>A legacy spelling is told twice: to the caller in the reply, to the operator in the log.</summary>
public sealed class LegacySpellingTests : OrchestratorTest
{
    private const string Id = "any";

    private readonly KeptLog _log = new();

    /// <summary>Every route whose body, or query, is a request of the contract.</summary>
    public static TheoryData<string> Routes => [.. Actions.Where(action => RequestOf(action) is not null).Select(action => action.Name)];

    private static MethodInfo[] Actions => typeof(ControllerProcessing).GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly);

    [Theory]
    [InlineData("idWorkflow")]
    [InlineData("id_workflow")]
    [InlineData("WorkflowId")]
    public async Task In_a_body_it_is_in_the_reply_and_in_the_log(string spelling)
    {
        using var response = await PostAsync("workflows/execute", $$"""{"{{spelling}}": "w"}""");

        Assert.Equal($"{spelling}: a legacy spelling, write workflowId", (string?)Assert.Single((await JsonAsync(response))["warnings"]!.AsArray()));
        var line = Assert.Single(Told);
        Assert.Equal(LogLevel.Warning, line.Level);
        Assert.Equal(typeof(OrchestratorTelemetry).FullName, line.Category);
        Assert.Equal((spelling, "coordinator.processing.v1.PostWorkflowExecuteRequest.workflow_id"), (line.Values["Path"], line.Values["Field"]));
        Assert.Contains(spelling, line.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task In_a_message_of_a_query_it_is_in_the_log_with_its_path()
    {
        using var response = await GetAsync("sessions?selector.idModel=m");

        var line = Assert.Single(Told);
        Assert.Equal(("selector.idModel", "coordinator.processing.v1.SessionSelector.model_id"), (line.Values["Path"], line.Values["Field"]));
    }

    [Fact]
    public async Task A_request_that_is_refused_is_told_of_it_too()
    {
        Fake.Refuse<PostWorkflowExecuteRequest>(Grpc.Core.StatusCode.NotFound, "WORKFLOW_NOT_FOUND", "no");

        using var response = await PostAsync("workflows/execute", """{"idWorkflow": "w"}""");

        Assert.Single((await JsonAsync(response))["warnings"]!.AsArray());
        Assert.Single(Told);
    }

    [Fact]
    public async Task The_names_of_the_contract_are_told_of_nowhere()
    {
        using var response = await PostAsync("workflows/execute", """{"workflow_id": "w", "modelId": "m"}""");

        Assert.Null((await JsonAsync(response))["warnings"]);
        Assert.Empty(Told);
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task Every_field_of_every_request_is_told_of_in_both_places(string actionName)
    {
        var action = Actions.Single(action => action.Name == actionName);
        var request = RequestOf(action)!;
        var isQuery = action.IsDefined(typeof(QueryAttribute));
        var fields = FieldsOf(request).Where(field => !isQuery || IsInQuery(field)).ToList();

        using var response = await SendAsync(action, fields, isQuery);
        var warnings = (await JsonAsync(response))["warnings"]!.AsArray().Select(warning => (string?)warning);

        Assert.NotEmpty(fields);
        Assert.Equal(fields.Select(field => $"{field.PropertyName}: a legacy spelling, write {field.JsonName}").Order(), warnings.Order());
        Assert.Equal(
            fields.Select(field => (field.PropertyName, field.FullName)).Order(),
            Told.Select(line => ((string)line.Values["Path"]!, (string)line.Values["Field"]!)).Order());
    }

    [Fact]
    public void Every_request_that_changes_something_is_among_them()
    {
        var walked = Actions.Select(RequestOf).OfType<MessageDescriptor>().ToList();
        var changing = ProcessingService.Descriptor.Methods.Select(method => method.InputType).Where(type => type.Name.StartsWith("Post", StringComparison.Ordinal));

        Assert.Equal(["PostCommandExecuteRequest", "PostProcessingArtifactRequest"], changing.Except(walked).Select(type => type.Name).Order());
    }

    protected override void Configure(IWebHostBuilder builder) => builder.ConfigureLogging(logging => logging.AddProvider(_log));

    private IReadOnlyList<KeptLine> Told => [.. _log.Lines.Where(line => line.Id.Name == nameof(Log.LegacySpelling))];

    private Task<HttpResponseMessage> SendAsync(MethodInfo action, List<FieldDescriptor> fields, bool isQuery)
    {
        var http = action.GetCustomAttributes().OfType<HttpMethodAttribute>().Single();
        var route = http.Template!.Replace("{workflowId}", Id, StringComparison.Ordinal)
            .Replace("{sessionId}", Id, StringComparison.Ordinal).Replace("{batchId}", Id, StringComparison.Ordinal);
        var method = new HttpMethod(http.HttpMethods.Single());
        return isQuery
            ? SendAsync(method, $"{route}?{string.Join('&', fields.Select(field => $"{field.PropertyName}={ValueOf(field)}"))}", null)
            : SendAsync(method, route, Json(new JsonObject(fields.Select(field => KeyValuePair.Create(field.PropertyName, BodyOf(field))))));
    }

    private static StringContent Json(JsonObject body) => new(body.ToJsonString(), System.Text.Encoding.UTF8, "application/json");

    private static MessageDescriptor? RequestOf(MethodInfo action)
    {
        var type = action.GetCustomAttribute<QueryAttribute>()?.Message
            ?? action.GetParameters().Select(parameter => parameter.ParameterType).FirstOrDefault(parameter => parameter.IsAssignableTo(typeof(IMessage)));
        return type is null ? null : MessageJsonConverter.DescriptorOf(type);
    }

    /// <summary>All fields, and the first of each oneof.</summary>
    private static IEnumerable<FieldDescriptor> FieldsOf(MessageDescriptor request) =>
        request.Fields.InFieldNumberOrder().Where(field => field.RealContainingOneof is not { } choice || choice.Fields[0] == field);

    private static bool IsInQuery(FieldDescriptor field) => !field.IsMap && (field.FieldType != FieldType.Message || HasText(field));

    private static bool HasText(FieldDescriptor field) => field.MessageType == Timestamp.Descriptor || field.MessageType == Duration.Descriptor;

    private static JsonNode? BodyOf(FieldDescriptor field) =>
        field.IsMap ? new JsonObject() : field.IsRepeated ? new JsonArray() : field.FieldType == FieldType.Message && !HasText(field) ? new JsonObject() : ValueOf(field);

    private static JsonValue? ValueOf(FieldDescriptor field) => field.FieldType switch
    {
        FieldType.Bool => JsonValue.Create(true),
        FieldType.Enum => JsonValue.Create(field.EnumType.Values[1].Name),
        FieldType.Message => JsonValue.Create(field.MessageType == Duration.Descriptor ? "1s" : "2026-01-01T00:00:00Z"),
        FieldType.String => JsonValue.Create(Id),
        _ => JsonValue.Create(1),
    };
}
