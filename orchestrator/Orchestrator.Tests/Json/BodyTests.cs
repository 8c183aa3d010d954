namespace Coordinator.Orchestrator.Tests.Json;

using System.Net;
using System.Text;
using Coordinator.Processing.V1;
using Microsoft.AspNetCore.Hosting;

public sealed class BodyTests : OrchestratorTest
{
    [Fact]
    public async Task A_legacy_spelling_is_a_warning_in_the_reply()
    {
        using var response = await PostAsync("workflows/execute", """{"idWorkflow": "w"}""");

        Assert.Equal("idWorkflow: a legacy spelling, write workflowId", (string?)(await JsonAsync(response))["warnings"]![0]);
        Assert.Equal("w", Assert.IsType<PostWorkflowExecuteRequest>(Assert.Single(Fake.Requests)).WorkflowId);
    }

    [Fact]
    public async Task A_query_is_a_message_whose_fields_have_paths()
    {
        using var response = await GetAsync("sessions?pageSize=7&selector.states=SESSION_STATE_FAILED&selector.states=SESSION_STATE_RUNNING&selector.labels.team=ocr&selector.idModel=m");
        var request = Assert.IsType<GetProcessingSessionsRequest>(Assert.Single(Fake.Requests));

        Assert.Equal(7, request.PageSize);
        Assert.Equal([SessionState.Failed, SessionState.Running], request.Selector.States);
        Assert.Equal(("ocr", "m"), (request.Selector.Labels["team"], request.Selector.ModelId));
        Assert.Single((await JsonAsync(response))["warnings"]!.AsArray());
    }

    [Theory]
    [InlineData("sessions?pagesize=x", "pageSize")]
    [InlineData("sessions?pageSiz=1", "pageSiz")]
    [InlineData("sessions?selector.states=FAILED", "selector.states[0]")]
    [InlineData("sessions?pageSize=1&page_size=2", "pageSize")]
    [InlineData("sessions?pageSize=1&pageSize=2", "pageSize")]
    [InlineData("sessions?selector=x&selector.modelId=m", "selector")]
    [InlineData("sessions?selector.labels.team=a&selector.labels.team=b", "selector.labels.team")]
    public async Task A_wrong_query_is_refused_with_its_path(string route, string path)
    {
        using var response = await GetAsync(route);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(path, (string?)(await JsonAsync(response))["error"]!["fields"]![0]!["field"]);
    }

    [Fact]
    public async Task The_id_of_the_path_and_another_in_the_body_are_a_conflict()
    {
        using var response = await PostAsync("sessions/a/control", """{"sessionId": "b", "controlAction": "CONTROL_ACTION_PAUSE"}""");

        Assert.Equal("FIELD_CONFLICT", (string?)(await JsonAsync(response))["error"]!["reason"]);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task The_idempotency_key_is_the_request_id_and_is_told()
    {
        using var given = await PostAsync("workflows/execute", "{}", ("Idempotency-Key", "order-17"));
        using var made = await PostAsync("workflows/execute", "{}");
        var ids = Fake.Requests.Cast<PostWorkflowExecuteRequest>().Select(request => request.RequestId).ToList();

        Assert.Equal("order-17", ids[0]);
        Assert.Equal(ids[1], made.Headers.GetValues("Idempotency-Key").Single());
        Assert.Equal(36, ids[1].Length);
    }

    [Fact]
    public async Task An_id_that_no_header_can_carry_is_left_to_the_coordinator()
    {
        Fake.Refuse<PostWorkflowExecuteRequest>(Grpc.Core.StatusCode.InvalidArgument, "FIELD_INVALID", "no id");

        using var response = await PostAsync("workflows/execute", """{"requestId": "ключ\r\n"}""");

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("ключ\r\n", Assert.IsType<PostWorkflowExecuteRequest>(Assert.Single(Fake.Requests)).RequestId);
    }

    [Fact]
    public async Task The_key_is_told_with_a_refusal_too()
    {
        Fake.Refuse<PostWorkflowExecuteRequest>(Grpc.Core.StatusCode.DeadlineExceeded, "DEADLINE_EXCEEDED", "late");

        using var response = await PostAsync("workflows/execute", "{}");

        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal(36, response.Headers.GetValues("Idempotency-Key").Single().Length);
    }

    [Theory]
    [InlineData("workflows/execute", "gzip")]
    [InlineData("artifacts", "br")]
    public async Task A_body_that_is_encoded_is_415(string route, string encoding)
    {
        using var content = Bytes([1, 2, 3], "application/json");
        content.Headers.ContentEncoding.Add(encoding);

        using var response = await SendAsync(HttpMethod.Post, route, content);

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Equal("Content-Encoding", (string?)(await JsonAsync(response))["error"]!["fields"]![0]!["field"]);
        Assert.Empty(Fake.Artifacts);
    }

    [Fact]
    public async Task A_message_that_the_coordinator_would_not_take_is_413_too()
    {
        using var response = await PostAsync("workflows/execute", """{"parameters": {"text": "#"}}""".Replace("#", new string('x', 20_000), StringComparison.Ordinal));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Null(response.Headers.RetryAfter);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_413()
    {
        using var response = await PostAsync("workflows/execute", new string(' ', 50_000) + "{}");

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Equal("PAYLOAD_TOO_LARGE", (string?)(await JsonAsync(response))["error"]!["reason"]);
    }

    [Fact]
    public async Task A_definition_in_YAML_is_the_source()
    {
        Fake.On<PutProcessingWorkflowRequest>(_ => new PutProcessingWorkflowResponse { Workflow = new() { WorkflowId = "w" }, Changed = true });

        using var response = await SendAsync(HttpMethod.Put, "workflows/w", new StringContent("workflow_id: w", Encoding.UTF8, "application/yaml"));

        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
        Assert.Equal([true, false], Fake.Requests.Cast<PutProcessingWorkflowRequest>().Select(request => request.ValidateOnly));
    }

    [Theory]
    [InlineData("allowBreaking=true", 200)]
    [InlineData("allowBreking=true", 400)]
    [InlineData("source=other", 400)]
    public async Task Beside_a_definition_the_rest_of_the_request_stands_in_the_query(string query, int status)
    {
        Fake.On<PutProcessingWorkflowRequest>(_ => new PutProcessingWorkflowResponse { Workflow = new() { WorkflowId = "w" }, Changed = true });

        using var response = await SendAsync(HttpMethod.Put, $"workflows/w?{query}", new StringContent("workflow_id: w", Encoding.UTF8, "application/yaml"));

        Assert.Equal(status, (int)response.StatusCode / 100 * 100);
        Assert.Equal(status == 200, Fake.Requests.OfType<PutProcessingWorkflowRequest>().Any(request => request is { AllowBreaking: true, Source: "workflow_id: w" }));
    }

    [Fact]
    public async Task A_definition_in_another_encoding_is_refused_and_not_damaged()
    {
        using var response = await SendAsync(HttpMethod.Put, "workflows/w", new StringContent("title: é", Encoding.Latin1, "application/yaml"));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_definition_of_another_id_is_a_conflict_and_is_not_stored()
    {
        Fake.On<PutProcessingWorkflowRequest>(_ => new PutProcessingWorkflowResponse { Workflow = new() { WorkflowId = "other" } });

        using var response = await SendAsync(HttpMethod.Put, "workflows/w", new StringContent("workflow_id: other", Encoding.UTF8, "application/yaml"));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.True(Assert.IsType<PutProcessingWorkflowRequest>(Assert.Single(Fake.Requests)).ValidateOnly);
    }

    protected override void Configure(IWebHostBuilder builder) => builder
        .UseSetting("Orchestrator:MaxBodyBytes", "40000").UseSetting("Coordinator:MaxMessageSize", "16384");
}
