namespace Coordinator.Client.Tests;

using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

public sealed class WatchTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_watch_that_breaks_goes_on_behind_the_last_event_with_one_snapshot()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = async (request, stream, context) =>
        {
            var next = request.AfterSequence + 1;
            await stream.WriteAsync(Updates.Snapshot(next + 2), context.CancellationToken);
            await stream.WriteAsync(Updates.Event(Math.Max(1, request.AfterSequence)), context.CancellationToken);
            await stream.WriteAsync(Updates.Group(next, next + 1), context.CancellationToken);
            await stream.WriteAsync(Updates.Event(next + 2, isEnd: next + 2 >= 9), context.CancellationToken);
            if (next + 2 < 9)
            {
                throw Refusal.Of(StatusCode.Unavailable, "SERVER_DRAINING");
            }
        };
        await using var client = server.Client();

        var updates = await client.Processing.WatchProcessingSessionAsync("one", 0, Stop).ToListAsync(Stop);

        Assert.Single(updates, update => update.UpdateCase == WatchProcessingSessionResponse.UpdateOneofCase.Snapshot);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9], updates.Where(update => update.Event is not null).Select(update => update.Event.Sequence));
        Assert.Equal([0, 3, 6], server.Processing.Calls.Select(call => call.Request).OfType<WatchProcessingSessionRequest>().Select(request => request.AfterSequence));
    }

    [Fact]
    public async Task A_watch_from_now_on_comes_back_behind_its_snapshot()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = async (request, stream, _) =>
        {
            await stream.WriteAsync(Updates.Snapshot(7));
            if (!request.HasAfterSequence)
            {
                throw Refusal.Of(StatusCode.Unavailable, "SERVER_DRAINING");
            }
            await stream.WriteAsync(Updates.Event(request.AfterSequence + 1, isEnd: true));
        };
        await using var client = server.Client();

        var updates = await client.Processing.WatchProcessingSessionAsync("one", cancellationToken: Stop).ToListAsync(Stop);

        Assert.Equal(8, updates[^1].Event.Sequence);
    }

    [Fact]
    public async Task A_watch_that_is_enumerated_again_begins_again()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = async (_, stream, _) =>
        {
            await stream.WriteAsync(Updates.Snapshot(1));
            await stream.WriteAsync(Updates.Event(1, isEnd: true));
        };
        await using var client = server.Client();
        var updates = client.Processing.WatchProcessingSessionAsync("one", 0, Stop);

        var (once, again) = (await updates.ToListAsync(Stop), await updates.ToListAsync(Stop));

        Assert.Equal(2, once.Count);
        Assert.Equal(once, again);
    }

    [Fact]
    public async Task A_stream_that_ends_before_the_session_is_opened_again()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = (request, stream, _) =>
            stream.WriteAsync(request.HasAfterSequence ? Updates.Snapshot(7, SessionState.Failed) : Updates.Snapshot(7));
        await using var client = server.Client();

        await client.Processing.Session("one").WaitAsync(Stop);

        Assert.Equal(2, server.Processing.Names.Count(name => name == "WatchProcessingSession"));
    }

    [Fact]
    public async Task A_connection_that_is_as_old_as_it_may_be_is_made_anew_unseen()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = async (request, stream, context) =>
        {
            await stream.WriteAsync(Updates.Snapshot(1));
            if (!request.HasAfterSequence)
            {
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }
            await stream.WriteAsync(Updates.Event(2, isEnd: true));
        };
        await using var client = server.Client(options => options.StreamTimeout = TimeSpan.FromSeconds(0.3));

        var updates = await client.Processing.WatchProcessingSessionAsync("one", cancellationToken: Stop).ToListAsync(Stop);

        Assert.Equal(2, updates.Count);
    }

    [Fact]
    public async Task A_refusal_that_is_for_good_ends_the_watch_at_once()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = (_, _, _) => throw Refusal.Of(StatusCode.NotFound, "SESSION_NOT_FOUND");
        await using var client = server.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.Session("one").WaitAsync(Stop));

        Assert.Equal("SESSION_NOT_FOUND", error.ReasonName);
        Assert.Single(server.Processing.Names);
    }

    [Fact]
    public async Task A_coordinator_that_does_not_come_back_is_given_up_after_the_window()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = (_, _, _) => throw Refusal.Of(StatusCode.Unavailable, "SERVER_DRAINING");
        await using var client = server.Client(options => options.ReconnectWindow = TimeSpan.FromSeconds(0.3));

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.Session("one").WaitAsync(Stop));

        Assert.Equal((StatusCode.Unavailable, "SERVER_DRAINING"), (error.StatusCode, error.ReasonName));
        Assert.True(server.Processing.Names.Count() > 1);
    }

    [Fact]
    public async Task Leaving_a_watch_ends_the_call_at_the_server()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var ended = new TaskCompletionSource();
        server.Processing.OnWatch = async (_, stream, context) =>
        {
            context.CancellationToken.Register(ended.SetResult);
            await stream.WriteAsync(Updates.Snapshot(1));
            await ended.Task;
        };
        await using var client = server.Client();

        await foreach (var _ in client.Processing.WatchProcessingSessionAsync("one", cancellationToken: Stop))
        {
            break;
        }

        await ended.Task;
    }

    [Fact]
    public async Task Cancelling_a_watch_carries_the_callers_token()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = async (_, stream, context) =>
        {
            await stream.WriteAsync(Updates.Snapshot(1));
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        };
        await using var client = server.Client();
        using var mine = CancellationTokenSource.CreateLinkedTokenSource(Stop);

        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in client.Processing.WatchProcessingSessionAsync("one", cancellationToken: mine.Token))
            {
                await mine.CancelAsync();
            }
        });

        Assert.Equal(mine.Token, error.CancellationToken);
    }

    [Fact]
    public async Task A_unary_call_answers_while_more_streams_are_open_than_a_connection_has()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnWatch = async (_, stream, context) =>
        {
            await stream.WriteAsync(Updates.Snapshot(1));
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        };
        await using var client = server.Client();
        var watches = Enumerable.Range(0, 150)
            .Select(_ => client.Processing.WatchProcessingSessionAsync("one", cancellationToken: Stop).GetAsyncEnumerator(Stop)).ToList();
        await Task.WhenAll(watches.Select(watch => watch.MoveNextAsync().AsTask()));

        var reply = await client.Processing.GetProcessingSessionAsync(new() { SessionId = "two" }, cancellationToken: Stop);

        Assert.Equal("two", reply.Session.SessionId);
        await Task.WhenAll(watches.Select(watch => watch.DisposeAsync().AsTask()));
    }
}
