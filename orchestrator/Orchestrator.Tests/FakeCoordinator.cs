namespace Coordinator.Orchestrator.Tests;

using System.Collections.Concurrent;
using System.Net;
using Coordinator.Processing.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Grpc.Health.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Code = Grpc.Core.StatusCode;
using RpcStatus = Google.Rpc.Status;

/// <summary>A coordinator that answers what a test says, on a port of its own, and keeps what it was asked.</summary>
internal sealed class FakeCoordinator : ProcessingService.ProcessingServiceBase, IAsyncDisposable
{
    private readonly ConcurrentDictionary<System.Type, Func<IMessage, ServerCallContext, Task<IMessage>>> _replies = new();
    private WebApplication? _application;

    /// <summary>Where it serves.</summary>
    public string Address => _application!.Urls.First();

    /// <summary>Every request of a RPC of Processing, the oldest first.</summary>
    public ConcurrentQueue<IMessage> Requests { get; } = new();

    /// <summary>The headers of the last call.</summary>
    public Metadata Headers { get; private set; } = [];

    /// <summary>What a watch sends; it is then silent until its caller leaves, unless it ends.</summary>
    public IReadOnlyList<WatchProcessingSessionResponse> Updates { get; set; } = [];

    /// <summary>False keeps a watch open behind its updates.</summary>
    public bool WatchEnds { get; set; } = true;

    /// <summary>What breaks a watch behind its updates; null for nothing.</summary>
    public RpcException? AfterUpdates { get; set; }

    /// <summary>Done once a watch was cancelled by its caller.</summary>
    public TaskCompletionSource WatchCancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Contents by digest.</summary>
    public ConcurrentDictionary<string, (Coordinator.Payload.V1.Artifact Artifact, byte[] Content)> Artifacts { get; } = new();

    /// <summary>What the last content was said to be; null if none came.</summary>
    public Coordinator.Payload.V1.Artifact? Announced { get; private set; }

    /// <summary>Largest chunk that came, in bytes.</summary>
    public int LargestChunk { get; private set; }

    /// <summary>What health says.</summary>
    public HealthCheckResponse.Types.ServingStatus Health { get; set; } = HealthCheckResponse.Types.ServingStatus.Serving;

    public static async Task<FakeCoordinator> StartAsync()
    {
        var fake = new FakeCoordinator();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(fake);
        builder.Services.AddSingleton(new FakeHealth(fake));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        fake._application = builder.Build();
        fake._application.MapGrpcService<FakeCoordinator>();
        fake._application.MapGrpcService<FakeHealth>();
        await fake._application.StartAsync();
        return fake;
    }

    /// <summary>Answers requests of that type.</summary>
    public void On<TRequest>(Func<TRequest, IMessage> reply)
        where TRequest : IMessage => _replies[typeof(TRequest)] = (request, _) => Task.FromResult(reply((TRequest)request));

    /// <summary>Answers requests of that type in its own time.</summary>
    public void OnAsync<TRequest>(Func<TRequest, ServerCallContext, Task<IMessage>> reply)
        where TRequest : IMessage => _replies[typeof(TRequest)] = (request, context) => reply((TRequest)request, context);

    /// <summary>What an upload is refused with before any of it is read; null if it is taken.</summary>
    public RpcException? UploadRefusal { get; set; }

    /// <summary>Refuses requests of that type with details as the coordinator's; without them if reason is empty.</summary>
    public void Refuse<TRequest>(Code code, string reason, string message, params IMessage[] details)
        where TRequest : IMessage => On<TRequest>(_ => throw Refusal(code, reason, message, details));

    public static RpcException Refusal(Code code, string reason, string message, params IMessage[] details)
    {
        if (reason.Length == 0)
        {
            return new RpcException(new(code, message));
        }
        var status = new RpcStatus { Code = (int)code, Message = message };
        status.Details.Add(Any.Pack(new ErrorInfo { Reason = reason, Domain = "processing.coordinator" }));
        status.Details.AddRange(details.Select(Any.Pack));
        return status.ToRpcException();
    }

    public override Task<GetProcessingContractResponse> GetProcessingContract(GetProcessingContractRequest request, ServerCallContext context) =>
        Task.FromResult(new GetProcessingContractResponse { ContractVersion = "1.0.0" });

    public override Task<GetProcessingWorkflowResponse> GetProcessingWorkflow(GetProcessingWorkflowRequest request, ServerCallContext context) =>
        ReplyAsync<GetProcessingWorkflowResponse>(request, context);

    public override Task<GetProcessingWorkflowsResponse> GetProcessingWorkflows(GetProcessingWorkflowsRequest request, ServerCallContext context) =>
        ReplyAsync<GetProcessingWorkflowsResponse>(request, context);

    public override Task<PutProcessingWorkflowResponse> PutProcessingWorkflow(PutProcessingWorkflowRequest request, ServerCallContext context) =>
        ReplyAsync<PutProcessingWorkflowResponse>(request, context);

    public override Task<PostWorkflowExecuteResponse> PostWorkflowExecute(PostWorkflowExecuteRequest request, ServerCallContext context) =>
        ReplyAsync<PostWorkflowExecuteResponse>(request, context);

    public override Task<GetProcessingSessionsResponse> GetProcessingSessions(GetProcessingSessionsRequest request, ServerCallContext context) =>
        ReplyAsync<GetProcessingSessionsResponse>(request, context);

    public override Task<GetProcessingSessionResponse> GetProcessingSession(GetProcessingSessionRequest request, ServerCallContext context) =>
        ReplyAsync<GetProcessingSessionResponse>(request, context);

    public override Task<PostSessionControlResponse> PostSessionControl(PostSessionControlRequest request, ServerCallContext context) =>
        ReplyAsync<PostSessionControlResponse>(request, context);

    public override Task<PostBatchCreateResponse> PostBatchCreate(PostBatchCreateRequest request, ServerCallContext context) =>
        ReplyAsync<PostBatchCreateResponse>(request, context);

    public override async Task WatchProcessingSession(
        WatchProcessingSessionRequest request, IServerStreamWriter<WatchProcessingSessionResponse> responseStream, ServerCallContext context)
    {
        Note(request, context);
        foreach (var update in Updates)
        {
            await responseStream.WriteAsync(update, context.CancellationToken);
        }
        if (AfterUpdates is { } error)
        {
            throw error;
        }
        if (!WatchEnds)
        {
            using var left = context.CancellationToken.Register(() => WatchCancelled.TrySetResult());
            await WatchCancelled.Task;
        }
    }

    public override async Task<PostProcessingArtifactResponse> PostProcessingArtifact(
        IAsyncStreamReader<PostProcessingArtifactRequest> requestStream, ServerCallContext context)
    {
        if (UploadRefusal is { } refusal)
        {
            throw refusal;
        }
        using var content = new MemoryStream();
        var artifact = new Coordinator.Payload.V1.Artifact();
        await foreach (var chunk in requestStream.ReadAllAsync(context.CancellationToken))
        {
            artifact = chunk.Artifact ?? artifact;
            Announced = artifact.Clone();
            LargestChunk = Math.Max(LargestChunk, chunk.Data.Length);
            chunk.Data.WriteTo(content);
        }
        artifact.Digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(content.ToArray()));
        artifact.SizeBytes = content.Length;
        return new() { Artifact = artifact, Created = Artifacts.TryAdd(artifact.Digest, (artifact, content.ToArray())) };
    }

    public override async Task GetProcessingArtifact(
        GetProcessingArtifactRequest request, IServerStreamWriter<GetProcessingArtifactResponse> responseStream, ServerCallContext context)
    {
        if (!Artifacts.TryGetValue(request.Digest, out var stored))
        {
            throw Refusal(Code.NotFound, "ARTIFACT_NOT_FOUND", $"there is no artifact '{request.Digest}'");
        }
        var offset = (int)request.Offset;
        if (offset > stored.Content.Length)
        {
            throw Refusal(Code.OutOfRange, "FIELD_INVALID", $"offset {offset} is outside of the {stored.Content.Length} bytes");
        }
        await responseStream.WriteAsync(new() { Artifact = stored.Artifact, Offset = offset, Data = ByteString.CopyFrom(stored.Content[offset..]) });
    }

    public async ValueTask DisposeAsync()
    {
        WatchCancelled.TrySetResult();
        await _application!.DisposeAsync();
    }

    private async Task<T> ReplyAsync<T>(IMessage request, ServerCallContext context)
        where T : class, IMessage, new()
    {
        Note(request, context);
        return _replies.TryGetValue(request.GetType(), out var reply) ? (T)await reply(request, context) : new T();
    }

    private void Note(IMessage request, ServerCallContext context)
    {
        Requests.Enqueue(request);
        Headers = context.RequestHeaders;
    }

    private sealed class FakeHealth(FakeCoordinator fake) : Grpc.Health.V1.Health.HealthBase
    {
        public override Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context) =>
            Task.FromResult(new HealthCheckResponse { Status = fake.Health });
    }
}
