namespace Coordinator.Client.Tests;

using Coordinator.Error.V1;
using Coordinator.Processing.V1;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Xunit;

public sealed class ErrorTests
{
    private static readonly GetProcessingSessionRequest Request = new() { SessionId = "one" };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<StatusCode> Codes => [.. System.Enum.GetValues<StatusCode>().Where(code => code != StatusCode.OK)];

    [Theory]
    [MemberData(nameof(Codes))]
    public async Task Each_code_arrives_with_a_text_of_ours_where_nobody_gave_a_reason(StatusCode code)
    {
        var error = await RaisedAsync(new RpcException(new Grpc.Core.Status(code, "/var/lib/secret")));

        Assert.Equal(code, error.StatusCode);
        Assert.Equal(("", ErrorReason.Unspecified), (error.ReasonName, error.Reason));
        Assert.Equal("GetProcessingSession", error.Operation);
        Assert.Contains("GetProcessingSession", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
        Assert.IsType<RpcException>(error.InnerException);
    }

    [Fact]
    public async Task Every_detail_of_a_refusal_is_a_property()
    {
        var error = await RaisedAsync(Refusal.Of(
            StatusCode.FailedPrecondition,
            "SESSION_STATE_ILLEGAL",
            "session one is PAUSED",
            TimeSpan.FromSeconds(2.5),
            new BadRequest { FieldViolations = { new BadRequest.Types.FieldViolation { Field = "steps[2].max_parallel", Description = "must be 1 to 64" } } },
            new PreconditionFailure { Violations = { new PreconditionFailure.Types.Violation { Type = "SESSION_STATE_ILLEGAL", Subject = "session one", Description = "resume it" } } },
            new ResourceInfo { ResourceType = "session", ResourceName = "one" }));

        Assert.Equal((ErrorReason.SessionStateIllegal, "SESSION_STATE_ILLEGAL"), (error.Reason, error.ReasonName));
        Assert.Equal("session one is PAUSED", error.Message);
        Assert.Equal("PAUSED", error.Metadata["state"]);
        Assert.Equal([new ErrorField("steps[2].max_parallel", "must be 1 to 64")], error.FieldViolations);
        Assert.Equal("Steps[2].MaxParallel", error.FieldViolations[0].PropertyPath);
        Assert.Equal([new ErrorPrecondition("SESSION_STATE_ILLEGAL", "session one", "resume it")], error.Preconditions);
        Assert.Equal(new ErrorResource("session", "one", ""), error.Resource);
        Assert.Equal(TimeSpan.FromSeconds(2.5), error.RetryAfter);
        Assert.True(error.IsTransient);
        Assert.False(error.MayHaveHappened);
    }

    [Fact]
    public async Task A_reason_that_is_newer_than_this_build_keeps_its_name()
    {
        var error = await RaisedAsync(Refusal.Of(StatusCode.Internal, "MOON_TOO_FULL"));

        Assert.Equal(("MOON_TOO_FULL", ErrorReason.Unspecified), (error.ReasonName, error.Reason));
    }

    [Fact]
    public async Task Details_that_cannot_be_read_do_no_harm()
    {
        var broken = new Metadata { { "grpc-status-details-bin", [0xff, 0xff, 0xff] } };

        var error = await RaisedAsync(new RpcException(new Grpc.Core.Status(StatusCode.NotFound, "gone"), broken));

        Assert.Equal((StatusCode.NotFound, ""), (error.StatusCode, error.ReasonName));
    }

    [Fact]
    public async Task A_detail_of_the_right_type_that_cannot_be_read_does_no_harm()
    {
        var status = new Google.Rpc.Status
        {
            Code = (int)StatusCode.NotFound,
            Details = { new Any { TypeUrl = "type.googleapis.com/google.rpc.ErrorInfo", Value = Google.Protobuf.ByteString.CopyFrom(0xff) } },
        };
        var broken = new Metadata { { "grpc-status-details-bin", Google.Protobuf.MessageExtensions.ToByteArray(status) } };

        var error = await RaisedAsync(new RpcException(new Grpc.Core.Status(StatusCode.NotFound, "gone"), broken));

        Assert.Equal((StatusCode.NotFound, ""), (error.StatusCode, error.ReasonName));
    }

    [Fact]
    public async Task A_cancellation_by_the_caller_carries_the_callers_token_and_ends_the_call_at_the_server()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var (arrived, ended) = (new TaskCompletionSource(), new TaskCompletionSource());
        server.Processing.OnGetSession = async (_, context) =>
        {
            arrived.SetResult();
            context.CancellationToken.Register(ended.SetResult);
            await ended.Task;
            return new GetProcessingSessionResponse();
        };
        await using var client = server.Client();
        using var mine = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var call = client.Processing.GetProcessingSessionAsync(Request, cancellationToken: mine.Token);
        await arrived.Task;

        await mine.CancelAsync();

        var error = await Assert.ThrowsAsync<OperationCanceledException>(() => call);
        Assert.Equal(mine.Token, error.CancellationToken);
        await ended.Task;
    }

    [Fact]
    public async Task A_server_that_is_slow_is_a_deadline_that_says_the_work_may_go_on()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = async (_, context) =>
        {
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return new GetProcessingSessionResponse();
        };
        await using var client = server.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.GetProcessingSessionAsync(Request, TimeSpan.FromSeconds(0.3), Stop));

        Assert.Equal(StatusCode.DeadlineExceeded, error.StatusCode);
        Assert.True(error.MayHaveHappened);
        Assert.Contains("the work may go on", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_call_has_an_end()
    {
        await using var server = await FakeCoordinator.StartAsync();
        await using var client = server.Client(options => options.Timeout = TimeSpan.MaxValue);

        await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);
        await client.Processing.GetProcessingSessionAsync(Request, TimeSpan.MaxValue, Stop);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => client.Processing.GetProcessingSessionAsync(Request, Timeout.InfiniteTimeSpan, Stop));
    }

    [Fact]
    public async Task A_reply_over_the_limit_is_said_to_be_that()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = (_, _) =>
            Task.FromResult(new GetProcessingSessionResponse { Session = new Session { SessionId = new string('x', 100_000) } });
        await using var client = server.Client(options => options.MaxMessageSize = 50_000);

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));

        Assert.Equal((StatusCode.ResourceExhausted, ""), (error.StatusCode, error.ReasonName));
        Assert.Contains("MaxMessageSize", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_over_the_limit_is_refused_before_it_is_sent()
    {
        await using var server = await FakeCoordinator.StartAsync();
        await using var client = server.Client(options => options.MaxMessageSize = 50_000);
        var request = new GetProcessingSessionRequest { SessionId = new string('x', 100_000) };

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(request, cancellationToken: Stop));

        Assert.Equal((StatusCode.ResourceExhausted, ErrorReason.PayloadTooLarge), (error.StatusCode, error.Reason));
        Assert.Equal("50000", error.Metadata["limit_bytes"]);
        Assert.False(error.IsTransient);
    }

    [Fact]
    public async Task Nobody_there_is_unavailable_and_the_health_check_says_no()
    {
        var server = await FakeCoordinator.StartAsync();
        await using var client = server.Client();
        Assert.True(await client.CheckHealthAsync(cancellationToken: Stop));
        await server.DisposeAsync();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));

        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
        Assert.True(error.IsTransient);
        Assert.False(await client.CheckHealthAsync(cancellationToken: Stop));
    }

    private static async Task<CoordinatorException> RaisedAsync(RpcException refusal)
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = (_, _) => throw refusal;
        await using var client = server.Client(options => options.Retry.MaxAttempts = 1);
        return await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));
    }
}
