namespace Coordinator.Orchestrator.Tests.Responses;

using System.Net;
using Coordinator.Error.V1;
using Coordinator.Processing.V1;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using BadRequest = Google.Rpc.BadRequest;

public sealed class StatusTests : OrchestratorTest
{
    private const string Route = "workflows/any";

    [Theory]
    [InlineData(StatusCode.InvalidArgument, 400, "INVALID_ARGUMENT")]
    [InlineData(StatusCode.OutOfRange, 400, "OUT_OF_RANGE")]
    [InlineData(StatusCode.FailedPrecondition, 400, "FAILED_PRECONDITION")]
    [InlineData(StatusCode.NotFound, 404, "NOT_FOUND")]
    [InlineData(StatusCode.AlreadyExists, 409, "ALREADY_EXISTS")]
    [InlineData(StatusCode.Aborted, 409, "ABORTED")]
    [InlineData(StatusCode.ResourceExhausted, 429, "RESOURCE_EXHAUSTED")]
    [InlineData(StatusCode.Cancelled, 499, "CANCELLED")]
    [InlineData(StatusCode.Unimplemented, 501, "UNIMPLEMENTED")]
    [InlineData(StatusCode.Unavailable, 503, "UNAVAILABLE")]
    [InlineData(StatusCode.DeadlineExceeded, 504, "DEADLINE_EXCEEDED")]
    [InlineData(StatusCode.Unknown, 500, "UNKNOWN")]
    [InlineData(StatusCode.Internal, 500, "INTERNAL")]
    [InlineData(StatusCode.DataLoss, 500, "DATA_LOSS")]
    public async Task Each_status_of_gRPC_has_its_status_of_HTTP(StatusCode code, int status, string name)
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(code, "FOREIGN", "secret of the peer");

        using var response = await GetAsync(Route);
        var body = await JsonAsync(response);

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(name, (string?)body["error"]!["code"]);
        Assert.False((bool)body["success"]!);
        Assert.Equal(32, ((string)body["traceId"]!).Length);
        Assert.True(status < 500 || !((string)body["message"]!).Contains("secret", StringComparison.Ordinal) || status is 503);
    }

    [Theory]
    [InlineData(StatusCode.Unauthenticated, 502)]
    [InlineData(StatusCode.PermissionDenied, 502)]
    public async Task A_refused_credential_of_the_orchestrator_is_not_the_callers(StatusCode code, int status)
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(code, name(code), "no");

        using var response = await GetAsync(Route, ("Authorization", "Bearer callers"));

        Assert.Equal(status, (int)response.StatusCode);
        Assert.DoesNotContain(Fake.Headers, header => header.Key == "authorization");

        static string name(StatusCode code) => code == StatusCode.Unauthenticated ? "UNAUTHENTICATED" : "PERMISSION_DENIED";
    }

    [Fact]
    public async Task A_read_that_is_late_is_to_be_asked_again_and_leads_nowhere()
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.DeadlineExceeded, "DEADLINE_EXCEEDED", "late");

        using var response = await GetAsync(Route);

        Assert.Equal("no answer in time; ask again", (string?)(await JsonAsync(response))["message"]);
        Assert.Null(response.Headers.Location);
    }

    [Theory]
    [InlineData("workflows/execute", """{"workflowId": "w", "sessionId": "s/1"}""", "/api/processing/sessions/s%2F1")]
    [InlineData("workflows/execute", """{"workflowId": "w"}""", null)]
    [InlineData("sessions/s/control", """{"controlAction": "CONTROL_ACTION_PAUSE"}""", "/api/processing/sessions/s")]
    [InlineData("batches/create", """{"batchId": "b"}""", "/api/processing/batches/b")]
    public async Task Work_that_is_late_is_found_where_the_request_names_it(string route, string body, string? location)
    {
        Fake.Refuse<PostWorkflowExecuteRequest>(StatusCode.DeadlineExceeded, "DEADLINE_EXCEEDED", "late");
        Fake.Refuse<PostSessionControlRequest>(StatusCode.DeadlineExceeded, "DEADLINE_EXCEEDED", "late");
        Fake.Refuse<PostBatchCreateRequest>(StatusCode.DeadlineExceeded, "DEADLINE_EXCEEDED", "late");

        using var response = await PostAsync(route, body);

        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
        Assert.Equal(location, response.Headers.Location?.OriginalString);
    }

    [Fact]
    public async Task A_reply_that_is_too_large_is_no_quota()
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.ResourceExhausted, "", "too large");

        using var response = await GetAsync(Route);

        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
    }

    [Fact]
    public async Task Retry_info_is_rounded_up_in_the_header_and_exact_in_the_body()
    {
        var delay = new RetryInfo { RetryDelay = Duration.FromTimeSpan(TimeSpan.FromSeconds(2.5)) };
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.ResourceExhausted, "SERVER_OVERLOADED", "busy", delay);

        using var response = await GetAsync(Route);

        Assert.Equal("3", response.Headers.GetValues("Retry-After").Single());
        Assert.Equal(2.5, (double)(await JsonAsync(response))["error"]!["retryAfterSeconds"]!);
    }

    [Fact]
    public async Task Field_violations_are_told_in_the_names_of_JSON()
    {
        var violations = new BadRequest { FieldViolations = { new BadRequest.Types.FieldViolation { Field = "steps[2].max_parallel", Description = "too many" } } };
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.InvalidArgument, "WORKFLOW_INVALID", "no", violations);

        using var response = await GetAsync(Route);
        var error = (await JsonAsync(response))["error"]!;

        Assert.Equal("steps[2].maxParallel", (string?)error["fields"]![0]!["field"]);
        Assert.Equal("docs/reference/errors.md#workflow_invalid", (string?)error["help"]);
    }

    [Fact]
    public async Task Who_prefers_problem_details_has_the_same_facts()
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.NotFound, "WORKFLOW_NOT_FOUND", "there is no workflow 'any'");

        using var response = await GetAsync(Route, ("Accept", "application/problem+json"));
        var problem = await JsonAsync(response);

        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(404, (int)problem["status"]!);
        Assert.Equal("WORKFLOW_NOT_FOUND", (string?)problem["error"]!["reason"]);
    }

    [Theory]
    [InlineData("GET", "nowhere", 404)]
    [InlineData("PATCH", "workflows/any", 405)]
    public async Task What_is_not_routed_is_refused_in_the_same_shape(string method, string route, int status)
    {
        using var response = await SendAsync(new HttpMethod(method), route, null);

        Assert.Equal(status, (int)response.StatusCode);
        Assert.False((bool)(await JsonAsync(response))["success"]!);
    }

    [Fact]
    public async Task A_session_that_failed_is_a_reply_with_data_and_the_status_of_its_failure()
    {
        var failure = new Failure { StatusCode = (int)StatusCode.ResourceExhausted, Reason = ErrorReason.ModelBudgetExceeded, Message = "no room" };
        Fake.On<PostWorkflowExecuteRequest>(_ => new PostWorkflowExecuteResponse
        {
            Session = new Session { SessionId = "s", State = SessionState.Failed, Failure = failure },
        });

        using var response = await PostAsync("workflows/execute", """{"workflowId": "w"}""");
        var body = await JsonAsync(response);

        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.Equal("MODEL_BUDGET_EXCEEDED", (string?)body["error"]!["reason"]);
        Assert.Equal("SESSION_STATE_FAILED", (string?)body["data"]!["session"]!["state"]);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable, "Retry-After", "3")]
    [InlineData(StatusCode.ResourceExhausted, "Retry-After", "3")]
    [InlineData(StatusCode.Unauthenticated, "WWW-Authenticate", "Bearer")]
    public async Task A_session_that_failed_has_the_headers_of_its_status(StatusCode code, string header, string value)
    {
        var failure = new Failure { StatusCode = (int)code, Message = "no", RetryDelay = Duration.FromTimeSpan(TimeSpan.FromSeconds(2.5)) };
        Fake.On<PostWorkflowExecuteRequest>(_ => new PostWorkflowExecuteResponse { Session = new Session { SessionId = "s", Failure = failure } });

        using var response = await PostAsync("workflows/execute", """{"workflowId": "w"}""");

        Assert.Equal(value, response.Headers.GetValues(header).Single());
    }

    [Fact]
    public async Task A_session_that_runs_is_accepted_with_its_location()
    {
        Fake.On<PostWorkflowExecuteRequest>(_ => new PostWorkflowExecuteResponse
        {
            Session = new Session { SessionId = "s", State = SessionState.Running },
        });

        using var response = await PostAsync("workflows/execute", """{"workflowId": "w", "background": true}""");

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal("/api/processing/sessions/s", response.Headers.Location?.ToString());
    }
}
