namespace Coordinator.Acceptance.Tests;

using Coordinator.Client;
using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

/// <summary>Coordinators that are down, slow, killed, or of another version.</summary>
public sealed class OutageTests
{
    private const int Restarts = 3;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_coordinator_that_is_down_is_an_error_and_is_found_when_it_is_back()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await coordinator.KillAsync();
        await using var client = coordinator.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => Workflows.PutAsync(client, Stop));
        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
        Assert.False(await client.CheckHealthAsync(cancellationToken: Stop));

        await coordinator.StartAsync();
        await client.WaitForReadyAsync(Stop);
        await Workflows.PutAsync(client, Stop);
    }

    [Fact]
    public async Task A_coordinator_that_is_slow_is_a_deadline()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var client = coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        await coordinator.SignalAsync("STOP");

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.PostWorkflowExecuteAsync(Workflows.Echo("slow"), TimeSpan.FromSeconds(0.5), Stop));

        Assert.Equal(StatusCode.DeadlineExceeded, error.StatusCode);
        Assert.True(error.MayHaveHappened);
        await coordinator.SignalAsync("CONT");
    }

    [Fact]
    public async Task Work_that_outlasts_the_wait_is_answered_as_it_stands_and_goes_on()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var client = coordinator.Client();
        await Workflows.PutAsync(client, Stop);

        var reply = await client.Processing.PostWorkflowExecuteAsync(Workflows.Echo("long", "3s"), TimeSpan.FromSeconds(6), Stop);

        Assert.Equal(SessionState.Running, reply.Session.State);
        Assert.Equal(SessionState.Succeeded, (await client.Processing.Session("long").WaitAsync(Stop)).State);
    }

    [Fact]
    public async Task A_call_whose_coordinator_was_killed_is_repeated_and_its_work_done_once()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var client = coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        var request = Workflows.Echo("once", "0.5s");
        request.RequestId = "order-17";
        var call = client.Processing.PostWorkflowExecuteAsync(request, cancellationToken: Stop);
        while (!await client.Processing.EnumerateProcessingSessionsAsync(cancellationToken: Stop).AnyAsync(Stop))
        {
        }

        await coordinator.KillAsync();
        var error = await Assert.ThrowsAsync<CoordinatorException>(() => call);
        await coordinator.StartAsync();
        await client.WaitForReadyAsync(Stop);
        var reply = await client.Processing.PostWorkflowExecuteAsync(request, cancellationToken: Stop);

        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
        Assert.True(error.MayHaveHappened);
        Assert.True(reply.RepeatedRequest);
        Assert.Equal(SessionState.Succeeded, reply.Session.State);
        Assert.Equal(1, await client.Processing.EnumerateProcessingSessionsAsync(cancellationToken: Stop).CountAsync(Stop));
    }

    [Fact]
    public async Task A_watch_goes_on_over_restarts_without_a_gap_or_a_duplicate()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var client = coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        var session = await client.Processing.StartAsync(Workflows.Echo("killed", "0.5s"), Stop);
        var events = new List<SessionEvent>();
        var snapshots = 0;

        await foreach (var update in session.WatchAsync(0, Stop))
        {
            snapshots += update.Snapshot is null ? 0 : 1;
            if (update.Event is null)
            {
                continue;
            }
            events.Add(update.Event);
            if (update.Event.Kind == EventKind.StepStarted && events.Count(one => one.Kind == EventKind.SessionRecovered) < Restarts)
            {
                await coordinator.KillAsync();
                await coordinator.StartAsync();
            }
        }

        var history = await client.Processing.EnumerateProcessingSessionEventsAsync(new() { SessionId = "killed" }, Stop).ToListAsync(Stop);
        Assert.Equal(history, events);
        Assert.Equal(Enumerable.Range(1, events.Count).Select(number => (long)number), events.Select(one => one.Sequence));
        Assert.Equal(1, snapshots);
        Assert.True(events.Count(one => one.Kind == EventKind.SessionRecovered) >= Restarts);
        Assert.Equal(EventKind.SessionEnded, events[^1].Kind);
    }

    [Fact]
    public async Task A_coordinator_of_another_contract_version_is_told_at_the_first_call()
    {
        await using var coordinator = new CoordinatorProcess("2.0.0");
        await coordinator.StartAsync();
        await using var client = coordinator.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => Workflows.PutAsync(client, Stop));

        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.Contains("contract version 2.0.0, this client needs 1.x", error.Message, StringComparison.Ordinal);
    }
}
