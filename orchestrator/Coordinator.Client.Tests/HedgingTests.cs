namespace Coordinator.Client.Tests;

using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

public sealed class HedgingTests
{
    private static readonly GetProcessingSessionRequest Request = new() { SessionId = "one" };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_slow_read_is_overtaken_and_cancelled_at_the_server()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var slow = new SlowStart(1);
        server.Processing.OnGetSession = slow.AnswerAsync;
        await using var client = Hedged(server);

        var reply = await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);

        Assert.Equal("call 2", reply.Session.SessionId);
        await slow.AllCancelled.WaitAsync(Stop);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable, 4)]
    [InlineData(StatusCode.Aborted, 4)]
    [InlineData(StatusCode.NotFound, 1)]
    public async Task A_read_that_fails_is_tried_again_where_that_may_help(StatusCode code, int tries)
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = (_, _) => throw Refusal.Of(code, "SOME_REASON");
        await using var client = Hedged(server, 60);

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));

        Assert.Equal((code, "SOME_REASON"), (error.StatusCode, error.ReasonName));
        Assert.Equal(tries, server.Processing.Names.Count());
    }

    [Fact]
    public async Task What_is_no_read_is_sent_once_however_long_it_takes()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var (changed, computed, release) = (new TaskCompletionSource(), new TaskCompletionSource(), new TaskCompletionSource());
        var slow = new SlowStart(2);
        server.Processing.OnGetSession = slow.AnswerAsync;
        server.Processing.OnExecute = (_, _) => HeldAsync<PostWorkflowExecuteResponse>(changed, release);
        server.Processing.OnPlan = (_, _) => HeldAsync<PostWorkflowPlanResponse>(computed, release);
        await using var client = Hedged(server);

        var change = client.Processing.PostWorkflowExecuteAsync(new(), cancellationToken: Stop);
        var computation = client.Processing.PostWorkflowPlanAsync(new(), cancellationToken: Stop);
        await Task.WhenAll(changed.Task, computed.Task).WaitAsync(Stop);
        await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);
        release.SetResult();
        await Task.WhenAll(change, computation);

        Assert.Equal(3, slow.Count);
        Assert.Single(server.Processing.Names, name => name == nameof(server.Processing.PostWorkflowExecute));
        Assert.Single(server.Processing.Names, name => name == nameof(server.Processing.PostWorkflowPlan));
    }

    private static async Task<TReply> HeldAsync<TReply>(TaskCompletionSource arrived, TaskCompletionSource release)
        where TReply : new()
    {
        arrived.TrySetResult();
        await release.Task;
        return new TReply();
    }

    private static CoordinatorClient Hedged(FakeCoordinator server, double seconds = 0.05) =>
        server.Client(options => options.HedgeReadsAfter = TimeSpan.FromSeconds(seconds));
}
