using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace ReadText;

/// <summary>Each thing that a client does, once.</summary>
internal sealed class Tour(ProcessingService.ProcessingServiceClient client)
{
    private const string WrongWorkflow = """
        workflow_id: wrong
        steps:
          - step_id: first
            operation: postprocessing.post_postprocessing_exekute
        """;

    private static readonly TimeSpan _callTime = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan _watchTime = TimeSpan.FromMinutes(10);

    /// <summary>The whole tour.</summary>
    public async Task RunAsync(string page)
    {
        await ListAsync().ConfigureAwait(false);
        await ReadAsync(page).ConfigureAwait(false);
        await ControlAsync().ConfigureAwait(false);
        await RefuseAsync().ConfigureAwait(false);
    }

    private async Task ListAsync()
    {
        var reply = await client.GetProcessingWorkflowsAsync(new GetProcessingWorkflowsRequest(), Within(_callTime));
        foreach (var workflow in reply.Workflows)
        {
            Console.WriteLine($"workflow {workflow.WorkflowId} {workflow.Title}");
        }
    }

    private async Task ReadAsync(string page)
    {
        var content = await File.ReadAllBytesAsync(page).ConfigureAwait(false);
        var sessionId = await StartAsync(new PostWorkflowExecuteRequest
        {
            WorkflowId = "read-text",
            Payloads = { ["page"] = new Datum { InlineBytes = UnsafeByteOperations.UnsafeWrap(content) } },
        }).ConfigureAwait(false);
        await foreach (var told in WatchAsync(sessionId).ConfigureAwait(false))
        {
            Console.WriteLine($"event {told.Sequence} {NameOf(told.Kind)}");
        }

        var session = await GetAsync(sessionId).ConfigureAwait(false);
        Console.WriteLine($"state {NameOf(session.State)}");
        foreach (var line in session.Outputs.Fields["text"].StringValue.Split('\n'))
        {
            Console.WriteLine($"line {line}");
        }
    }

    private async Task ControlAsync()
    {
        var sessionId = await StartAsync(new PostWorkflowExecuteRequest
        {
            WorkflowId = "three-echoes",
            Parameters = new Struct { Fields = { ["delay_seconds"] = Value.ForString("60s") } },
        }).ConfigureAwait(false);
        foreach (var action in new[] { ControlAction.Pause, ControlAction.Resume, ControlAction.Cancel })
        {
            await OrderAsync(sessionId, action).ConfigureAwait(false);
        }

        await foreach (var told in WatchAsync(sessionId).ConfigureAwait(false))
        {
            if (told.ControlAction != ControlAction.Unspecified)
            {
                Console.WriteLine($"control {NameOf(told.ControlAction)}");
            }
        }

        var session = await GetAsync(sessionId).ConfigureAwait(false);
        Console.WriteLine($"state {NameOf(session.State)}");
    }

    // Has a workflow checked that names an operation wrongly.
    private async Task RefuseAsync()
    {
        var request = new PutProcessingWorkflowRequest { Source = WrongWorkflow, ValidateOnly = true };
        try
        {
            await client.PutProcessingWorkflowAsync(request, Within(_callTime));
        }
        catch (RpcException error)
        {
            Refusal.Describe(error);
            return;
        }

        throw new InvalidOperationException("a wrong workflow was not refused");
    }

    // Begins a session in the background; its session_id.
    private async Task<string> StartAsync(PostWorkflowExecuteRequest request)
    {
        request.RequestId = NewId(); // makes a repeat of the call safe
        request.Background = true;
        var reply = await client.PostWorkflowExecuteAsync(request, Within(_callTime));
        return reply.Session.SessionId;
    }

    // Its events from the first one, until it has ended.
    private async IAsyncEnumerable<SessionEvent> WatchAsync(string sessionId)
    {
        var request = new WatchProcessingSessionRequest { SessionId = sessionId, AfterSequence = 0 };
        using var call = client.WatchProcessingSession(request, Within(_watchTime)); // leaving the loop ends the call
        await foreach (var update in call.ResponseStream.ReadAllAsync().ConfigureAwait(false))
        {
            if (update.UpdateCase == WatchProcessingSessionResponse.UpdateOneofCase.Event)
            {
                yield return update.Event;
            }
        }
    }

    private async Task<Session> GetAsync(string sessionId)
    {
        var request = new GetProcessingSessionRequest { SessionId = sessionId };
        var reply = await client.GetProcessingSessionAsync(request, Within(_callTime));
        return reply.Session;
    }

    private async Task OrderAsync(string sessionId, ControlAction action)
    {
        var request = new PostSessionControlRequest
        {
            SessionId = sessionId,
            ControlAction = action,
            RequestId = NewId(),
        };
        await client.PostSessionControlAsync(request, Within(_callTime));
    }

    private static CallOptions Within(TimeSpan time) => new(deadline: DateTime.UtcNow + time);

    private static string NewId() => Guid.CreateVersion7().ToString();

    // The name of a value as the contract spells it.
    private static string NameOf<TEnum>(TEnum value)
        where TEnum : struct, System.Enum
    {
        var member = typeof(TEnum).GetField(value.ToString())!;
        return ((OriginalNameAttribute)Attribute.GetCustomAttribute(member, typeof(OriginalNameAttribute))!).Name;
    }
}
