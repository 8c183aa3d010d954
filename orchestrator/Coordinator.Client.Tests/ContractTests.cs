namespace Coordinator.Client.Tests;

using System.Collections.Concurrent;
using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

public sealed class ContractTests
{
    private static readonly GetProcessingSessionRequest Request = new() { SessionId = "one" };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_contract_is_asked_for_once_before_the_first_of_many_calls()
    {
        await using var server = await FakeCoordinator.StartAsync();
        await using var client = server.Client();

        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop)));

        Assert.Equal("GetProcessingContract", server.Processing.Calls.First().Method);
        Assert.Single(server.Processing.Calls, call => call.Method == "GetProcessingContract");
        Assert.Equal(20, server.Processing.Names.Count());
    }

    [Fact]
    public async Task Who_waits_for_the_check_of_another_call_waits_no_longer_than_it_said()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var told = new TaskCompletionSource();
        server.Processing.ContractIsTold = told.Task;
        await using var client = server.Client();
        var patient = client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.GetProcessingSessionAsync(Request, TimeSpan.FromMilliseconds(100), Stop));
        var isWaiting = !patient.IsCompleted;
        told.SetResult();

        Assert.Equal(StatusCode.DeadlineExceeded, error.StatusCode);
        Assert.True(isWaiting);
        Assert.Equal("one", (await patient).Session.SessionId);
    }

    [Fact]
    public async Task Another_major_version_is_said_at_the_first_call_and_nothing_else_is_sent()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.ContractVersion = "2.0.0";
        await using var client = server.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));

        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
        Assert.Contains("contract version 2.0.0, this client needs 1.x", error.Message, StringComparison.Ordinal);
        Assert.Empty(server.Processing.Names);
    }

    [Fact]
    public async Task A_watch_asks_for_the_contract_too()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.ContractVersion = "2.0.0";
        await using var client = server.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.Session("one").WaitAsync(Stop));

        Assert.Equal(StatusCode.FailedPrecondition, error.StatusCode);
    }

    [Fact]
    public async Task Content_that_is_the_first_thing_sent_or_asked_for_asks_for_the_contract_too()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.ContractVersion = "2.0.0";
        await using var client = server.Client();
        using var content = new MemoryStream([1]);

        var upload = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.PostProcessingArtifactAsync(content, cancellationToken: Stop));
        var download = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingArtifactAsync("digest", content, cancellationToken: Stop));

        Assert.All([upload, download], error => Assert.Contains("contract version 2.0.0", error.Message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_stub_that_was_generated_elsewhere_has_the_same_treatment()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = (_, _) => throw Refusal.Of(StatusCode.NotFound, "SESSION_NOT_FOUND");
        await using var client = server.Client();
        var stub = new ProcessingService.ProcessingServiceClient(client.Invoker);

        var late = await Assert.ThrowsAsync<CoordinatorException>(async () => await stub.GetProcessingSessionAsync(Request, cancellationToken: Stop));
        var blocking = Assert.Throws<CoordinatorException>(() => stub.GetProcessingSession(Request, cancellationToken: Stop));

        Assert.Equal(["SESSION_NOT_FOUND", "SESSION_NOT_FOUND"], [late.ReasonName, blocking.ReasonName]);
    }

    [Fact]
    public async Task A_refused_handshake_is_told_once()
    {
        const string version = "99.77.0"; // no other test has it
        var unobserved = new ConcurrentQueue<string>();
        EventHandler<UnobservedTaskExceptionEventArgs> note = (_, failed) => unobserved.Enqueue(failed.Exception.ToString());
        TaskScheduler.UnobservedTaskException += note;

        await RefusedAsync(version);
        GC.Collect();
        GC.WaitForPendingFinalizers();

        TaskScheduler.UnobservedTaskException -= note;
        Assert.DoesNotContain(unobserved, text => text.Contains(version, StringComparison.Ordinal));
    }

    private static async Task RefusedAsync(string version)
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.ContractVersion = version;
        await using var client = server.Client();

        await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(new(), cancellationToken: Stop));
    }
}
