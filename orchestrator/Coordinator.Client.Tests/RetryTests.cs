namespace Coordinator.Client.Tests;

using System.Diagnostics;
using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

public sealed class RetryTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(StatusCode.Unavailable, 4)]
    [InlineData(StatusCode.ResourceExhausted, 4)]
    [InlineData(StatusCode.Aborted, 4)]
    [InlineData(StatusCode.Internal, 1)]
    [InlineData(StatusCode.Unknown, 1)]
    [InlineData(StatusCode.NotFound, 1)]
    public async Task A_read_is_tried_again_where_that_may_help(StatusCode code, int tries)
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = (_, _) => throw Refusal.Of(code, "SOME_REASON");
        await using var client = server.Client();

        await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.GetProcessingSessionAsync(new() { SessionId = "one" }, cancellationToken: Stop));

        Assert.Equal(tries, server.Processing.Names.Count());
    }

    [Theory]
    [InlineData(StatusCode.Unavailable, 4)]
    [InlineData(StatusCode.ResourceExhausted, 4)]
    [InlineData(StatusCode.Aborted, 1)]
    public async Task A_change_is_tried_again_with_one_request_id(StatusCode code, int tries)
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnExecute = (_, _) => throw Refusal.Of(code, "SOME_REASON");
        await using var client = server.Client();
        var request = new PostWorkflowExecuteRequest { WorkflowId = "echo" };

        await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.PostWorkflowExecuteAsync(request, cancellationToken: Stop));

        var ids = server.Processing.Calls.Select(call => call.Request).OfType<PostWorkflowExecuteRequest>().Select(one => one.RequestId).ToList();
        Assert.Equal(tries, ids.Count);
        Assert.Equal('7', Guid.Parse(Assert.Single(ids.Distinct())).ToString()[14]);
        Assert.Equal("", request.RequestId);
    }

    [Fact]
    public async Task A_request_id_of_the_caller_is_kept_and_two_calls_have_two()
    {
        await using var server = await FakeCoordinator.StartAsync();
        await using var client = server.Client();

        await client.Processing.PostWorkflowExecuteAsync(new() { RequestId = "order-17" }, cancellationToken: Stop);
        await client.Processing.PostWorkflowExecuteAsync(new(), cancellationToken: Stop);
        await client.Processing.PostWorkflowExecuteAsync(new(), cancellationToken: Stop);

        var ids = server.Processing.Calls.Select(call => call.Request).OfType<PostWorkflowExecuteRequest>().Select(one => one.RequestId).ToList();
        Assert.Equal("order-17", ids[0]);
        Assert.Equal(3, ids.Distinct().Count());
    }

    [Fact]
    public async Task A_command_that_the_contract_does_not_call_repeatable_is_made_once()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnCommand = (_, _) => throw Refusal.Of(StatusCode.Unavailable, "DOMAIN_UNAVAILABLE");
        await using var client = server.Client();

        await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.PostCommandExecuteAsync(new(), cancellationToken: Stop));

        Assert.Single(server.Processing.Names);
    }

    [Fact]
    public async Task The_servers_delay_is_waited_for()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var times = new List<long>();
        server.Processing.OnGetSession = (_, _) =>
        {
            times.Add(Stopwatch.GetTimestamp());
            return times.Count == 1
                ? throw Refusal.Of(StatusCode.ResourceExhausted, "SERVER_OVERLOADED", delay: TimeSpan.FromSeconds(0.4))
                : Task.FromResult(new GetProcessingSessionResponse());
        };
        await using var client = server.Client();

        await client.Processing.GetProcessingSessionAsync(new(), cancellationToken: Stop);

        Assert.InRange(Stopwatch.GetElapsedTime(times[0], times[1]).TotalSeconds, 0.39, double.MaxValue);
    }

    [Fact]
    public async Task Every_call_has_a_deadline_and_the_metadata_of_the_options()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = (_, stream, _) => stream.WriteAsync(Updates.Snapshot(0, SessionState.Succeeded));
        await using var client = server.Client(options => options.Metadata["x-tenant"] = "acme");

        await client.Processing.GetProcessingSessionAsync(new(), cancellationToken: Stop);
        await client.Processing.Session("one").WaitAsync(Stop);

        Assert.Equal(4, server.Processing.Calls.Count);
        Assert.DoesNotContain(server.Processing.Calls, call => call.Deadline == DateTime.MaxValue);
        Assert.All(server.Processing.Calls, call => Assert.Equal("acme", call.Headers.GetValue("x-tenant")));
    }
}
