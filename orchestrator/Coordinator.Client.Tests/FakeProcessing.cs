namespace Coordinator.Client.Tests;

using System.Collections.Concurrent;
using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>The service as far as the tests call it. Each handler may be replaced.</summary>
public sealed class FakeProcessing : ProcessingService.ProcessingServiceBase
{
    /// <summary>The calls that came, oldest first, each try by itself.</summary>
    public ConcurrentQueue<FakeCall> Calls { get; } = new();

    /// <summary>Version of the contract.</summary>
    public string ContractVersion { get; set; } = "1.4.2";

    /// <summary>What it waits for before it tells its version.</summary>
    public Task ContractIsTold { get; set; } = Task.CompletedTask;

    public Func<GetProcessingSessionRequest, ServerCallContext, Task<GetProcessingSessionResponse>> OnGetSession { get; set; } =
        (request, _) => Task.FromResult(new GetProcessingSessionResponse { Session = new Session { SessionId = request.SessionId } });

    public Func<PostWorkflowExecuteRequest, ServerCallContext, Task<PostWorkflowExecuteResponse>> OnExecute { get; set; } =
        (request, _) => Task.FromResult(new PostWorkflowExecuteResponse { Session = new Session { SessionId = "made" } });

    public Func<PostWorkflowPlanRequest, ServerCallContext, Task<PostWorkflowPlanResponse>> OnPlan { get; set; } =
        (_, _) => Task.FromResult(new PostWorkflowPlanResponse());

    public Func<PostCommandExecuteRequest, ServerCallContext, Task<PostCommandExecuteResponse>> OnCommand { get; set; } =
        (_, _) => Task.FromResult(new PostCommandExecuteResponse());

    public Func<IAsyncStreamReader<PostProcessingArtifactRequest>, ServerCallContext, Task<PostProcessingArtifactResponse>> OnUpload { get; set; } =
        (_, _) => Task.FromResult(new PostProcessingArtifactResponse());

    public Func<GetProcessingSessionsRequest, GetProcessingSessionsResponse> OnList { get; set; } = _ => new();

    public Func<WatchProcessingSessionRequest, IServerStreamWriter<WatchProcessingSessionResponse>, ServerCallContext, Task> OnWatch { get; set; } =
        (_, _, _) => Task.CompletedTask;

    /// <summary>Names of the RPCs that came, without the check of the contract.</summary>
    public IEnumerable<string> Names => Calls.Select(call => call.Method).Where(name => name != nameof(GetProcessingContract));

    public override async Task<GetProcessingContractResponse> GetProcessingContract(GetProcessingContractRequest request, ServerCallContext context)
    {
        Note(request, context);
        await ContractIsTold;
        return new GetProcessingContractResponse { ContractVersion = ContractVersion };
    }

    public override Task<GetProcessingSessionResponse> GetProcessingSession(GetProcessingSessionRequest request, ServerCallContext context)
    {
        Note(request, context);
        return OnGetSession(request, context);
    }

    public override Task<PostWorkflowExecuteResponse> PostWorkflowExecute(PostWorkflowExecuteRequest request, ServerCallContext context)
    {
        Note(request, context);
        return OnExecute(request, context);
    }

    public override Task<PostWorkflowPlanResponse> PostWorkflowPlan(PostWorkflowPlanRequest request, ServerCallContext context)
    {
        Note(request, context);
        return OnPlan(request, context);
    }

    public override Task<PostCommandExecuteResponse> PostCommandExecute(PostCommandExecuteRequest request, ServerCallContext context)
    {
        Note(request, context);
        return OnCommand(request, context);
    }

    public override Task<PostProcessingArtifactResponse> PostProcessingArtifact(
        IAsyncStreamReader<PostProcessingArtifactRequest> requestStream, ServerCallContext context) => OnUpload(requestStream, context);

    public override Task<GetProcessingSessionsResponse> GetProcessingSessions(GetProcessingSessionsRequest request, ServerCallContext context)
    {
        Note(request, context);
        return Task.FromResult(OnList(request));
    }

    public override Task WatchProcessingSession(
        WatchProcessingSessionRequest request, IServerStreamWriter<WatchProcessingSessionResponse> responseStream, ServerCallContext context)
    {
        Note(request, context);
        return OnWatch(request, responseStream, context);
    }

    private void Note(Google.Protobuf.IMessage request, ServerCallContext context) =>
        Calls.Enqueue(new FakeCall(context.Method.Split('/')[^1], request, context.RequestHeaders, context.Deadline));
}
