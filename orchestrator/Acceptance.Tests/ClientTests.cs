namespace Coordinator.Acceptance.Tests;

using System.Security.Cryptography;
using Coordinator.Client;
using Coordinator.Error.V1;
using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

/// <summary>One coordinator for all, which nobody kills.</summary>
public sealed class ClientTests(ServingCoordinator serving) : IClassFixture<ServingCoordinator>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_workflow_runs_and_its_session_is_listed_read_and_removed()
    {
        await using var client = serving.Coordinator.Client();
        await Workflows.PutAsync(client, Stop);

        var reply = await client.Processing.PostWorkflowExecuteAsync(Workflows.Echo("runs"), cancellationToken: Stop);

        Assert.Equal(SessionState.Succeeded, reply.Session.State);
        Assert.Equal("hello", reply.Session.Outputs.Fields["text"].StringValue);
        var listed = await client.Processing.EnumerateProcessingSessionsAsync(new() { PageSize = 1 }, Stop).Select(one => one.SessionId).ToListAsync(Stop);
        Assert.Contains("runs", listed);
        var session = client.Processing.Session("runs");
        Assert.Equal(3, (await session.GetAsync(Stop)).Steps.Count);
        await session.DeleteAsync(cancellationToken: Stop);
        var gone = await Assert.ThrowsAsync<CoordinatorException>(() => session.GetAsync(Stop));
        Assert.Equal((StatusCode.NotFound, ErrorReason.SessionNotFound), (gone.StatusCode, gone.Reason));
    }

    [Fact]
    public async Task A_watch_gives_every_event_once_and_ends()
    {
        await using var client = serving.Coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        var session = await client.Processing.StartAsync(Workflows.Echo("watched", "0.05s"), Stop);

        var updates = await session.WatchAsync(0, Stop).ToListAsync(Stop);

        Assert.Equal(WatchProcessingSessionResponse.UpdateOneofCase.Snapshot, updates[0].UpdateCase);
        var events = updates.Where(update => update.Event is not null).Select(update => update.Event).ToList();
        Assert.Equal(Enumerable.Range(1, events.Count).Select(number => (long)number), events.Select(one => one.Sequence));
        Assert.Equal(EventKind.SessionEnded, events[^1].Kind);
    }

    [Fact]
    public async Task The_nearest_name_is_in_the_error()
    {
        await using var client = serving.Coordinator.Client();
        await Workflows.PutAsync(client, Stop);

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.PostWorkflowExecuteAsync(new() { WorkflowId = "three-ecos" }, cancellationToken: Stop));

        Assert.Equal((StatusCode.NotFound, ErrorReason.WorkflowNotFound), (error.StatusCode, error.Reason));
        Assert.Contains("did you mean 'three-echoes'?", error.Message, StringComparison.Ordinal);
        Assert.Equal("three-echoes", error.Metadata["nearest"]);
    }

    [Fact]
    public async Task A_control_that_is_not_legal_says_the_state()
    {
        await using var client = serving.Coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        await client.Processing.PostWorkflowExecuteAsync(Workflows.Echo("ended"), cancellationToken: Stop);

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.Session("ended").PauseAsync(Stop));

        Assert.Equal((StatusCode.FailedPrecondition, ErrorReason.SessionStateIllegal), (error.StatusCode, error.Reason));
        Assert.Equal("SUCCEEDED", error.Metadata["state"]);
        Assert.NotEmpty(error.Preconditions);
    }

    [Fact]
    public async Task A_definition_with_faults_names_its_fields()
    {
        await using var client = serving.Coordinator.Client();

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.PutProcessingWorkflowAsync(
            new() { Source = "workflow_id: wrong\nsteps: [{step_id: one, operation: nowhere.at_all}]" }, cancellationToken: Stop));

        Assert.Equal(ErrorReason.WorkflowInvalid, error.Reason);
        Assert.Equal("Steps[0].Operation", Assert.Single(error.FieldViolations).PropertyPath);
    }

    [Fact]
    public async Task A_session_is_paused_resumed_and_cancelled()
    {
        await using var client = serving.Coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        var session = await client.Processing.StartAsync(Workflows.Echo("controlled", "0.3s"), Stop);

        var paused = await session.PauseAsync(Stop);
        await session.ResumeAsync(Stop);
        await session.CancelAsync(Stop);

        Assert.Contains(paused.State, new[] { SessionState.Paused, SessionState.Pausing });
        Assert.Equal(SessionState.Cancelled, (await session.WaitAsync(Stop)).State);
    }

    [Fact]
    public async Task A_batch_runs_its_items_and_lists_its_cells()
    {
        await using var client = serving.Coordinator.Client();
        await Workflows.PutAsync(client, Stop);
        await client.Processing.PostBatchCreateAsync(
            new()
            {
                BatchId = "many",
                WorkflowIds = { Workflows.ThreeEchoes },
                Items = { Enumerable.Range(0, 5).Select(number => new BatchItem { ItemId = $"item-{number}", Parameters = new() }) },
            },
            cancellationToken: Stop);
        var batch = client.Processing.Batch("many");

        await batch.ExecuteAsync(Stop);

        Assert.Equal(BatchState.Succeeded, (await batch.WaitAsync(Stop)).State);
        Assert.Equal(5, await batch.ItemsAsync(Stop).CountAsync(cell => cell.State == SessionState.Succeeded, Stop));
    }

    [Fact]
    public async Task Content_larger_than_a_message_goes_up_and_comes_down_unchanged()
    {
        await using var client = serving.Coordinator.Client();
        var content = RandomNumberGenerator.GetBytes((5 << 20) + 17);
        using var up = new MemoryStream(content);
        using var down = new MemoryStream();

        var stored = await client.Processing.PostProcessingArtifactAsync(up, cancellationToken: Stop);
        var read = await client.Processing.GetProcessingArtifactAsync(stored.Artifact.Digest, down, cancellationToken: Stop);

        Assert.Equal(content, down.ToArray());
        Assert.Equal(content.Length, read.SizeBytes);
    }

    [Fact]
    public async Task Content_that_is_not_what_was_named_is_refused()
    {
        await using var client = serving.Coordinator.Client();
        using var up = new MemoryStream(new byte[100]);

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.PostProcessingArtifactAsync(up, new() { Digest = new string('0', 64) }, Stop));

        Assert.Equal(ErrorReason.DigestMismatch, error.Reason);
    }

    [Fact]
    public async Task The_domains_are_called_by_the_same_client()
    {
        await using var client = serving.Coordinator.Client();

        var capabilities = await client.Postprocessing.GetPostprocessingCapabilitiesAsync(new(), cancellationToken: Stop);

        Assert.Contains(capabilities.Operations, operation => operation.Name == "echo");
    }
}
