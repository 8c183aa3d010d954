namespace Coordinator.Client;

using Coordinator.Inference.V1;
using Grpc.Core;

/// <summary>Runs of models, and inference sessions that keep one in memory.</summary>
/// <remarks>
/// Each method is one RPC. Its timeout bounds the wait, with all tries, and is that of the options if it is null; its
/// token gives up the wait, never the work. Both end the call at the coordinator.
/// </remarks>
public class InferenceClient
{
    private readonly InferenceService.InferenceServiceClient _stub;

    internal InferenceClient(CallInvoker invoker) => _stub = new InferenceService.InferenceServiceClient(invoker);

    /// <summary>For substitutes in tests; the methods of this class then have to be overridden.</summary>
    protected InferenceClient() => _stub = null!;

    /// <summary>
    /// Tells runtimes, providers, devices, data types, reductions and limits.
    /// </summary>
    public virtual Task<GetInferenceCapabilitiesResponse> GetInferenceCapabilitiesAsync(
        GetInferenceCapabilitiesRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetInferenceCapabilitiesAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Records that somebody uses a model: for affinity, cancel and cleanup. It pins nothing. Replies with the record.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (MODEL_NOT_FOUND), INVALID_ARGUMENT (FIELD_INVALID).
    /// </exception>
    public virtual Task<PostInferenceSessionResponse> PostInferenceSessionAsync(
        PostInferenceSessionRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostInferenceSessionAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Lists the inference sessions, oldest first.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetInferenceSessionsResponse> GetInferenceSessionsAsync(
        GetInferenceSessionsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetInferenceSessionsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Reads one inference session.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (INFERENCE_SESSION_NOT_FOUND).
    /// </exception>
    public virtual Task<GetInferenceSessionResponse> GetInferenceSessionAsync(
        GetInferenceSessionRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetInferenceSessionAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Ends an inference session and cancels its runs; does nothing if it is gone. Replies with what it cancelled.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (FIELD_REQUIRED).
    /// </exception>
    public virtual Task<DeleteInferenceSessionResponse> DeleteInferenceSessionAsync(
        DeleteInferenceSessionRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.DeleteInferenceSessionAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Runs a model once: checks the inputs, loads the model if need be, holds it for the run, reduces the outputs. A
    /// cancelled call stops the run. Safe to repeat.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (MODEL_NOT_FOUND), INVALID_ARGUMENT (TENSOR_INVALID, FIELD_UNKNOWN, FIELD_REQUIRED, FIELD_INVALID,
    /// FIELD_CONFLICT, DIGEST_MISMATCH), FAILED_PRECONDITION (MODEL_INVALID), RESOURCE_EXHAUSTED
    /// (MODEL_BUDGET_EXCEEDED, MODEL_OUT_OF_MEMORY, PAYLOAD_TOO_LARGE, SERVER_OVERLOADED), CANCELLED (CANCELLED: its
    /// inference session was deleted), INTERNAL (MODEL_RUN_FAILED).
    /// </exception>
    public virtual Task<PostInferenceExecuteResponse> PostInferenceExecuteAsync(
        PostInferenceExecuteRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostInferenceExecuteAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Makes a model resident; concurrent loads of a model are one load. Replies when it is resident.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (MODEL_NOT_FOUND), FAILED_PRECONDITION (MODEL_INVALID), RESOURCE_EXHAUSTED (MODEL_BUDGET_EXCEEDED).
    /// </exception>
    public virtual Task<PostInferenceLoadResponse> PostInferenceLoadAsync(
        PostInferenceLoadRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostInferenceLoadAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Gives a model's memory back to the operating system. Replies with the measured gain.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// FAILED_PRECONDITION (MODEL_IN_USE with the holders).
    /// </exception>
    public virtual Task<PostInferenceUnloadResponse> PostInferenceUnloadAsync(
        PostInferenceUnloadRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostInferenceUnloadAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Tells which models are resident and the budgets.
    /// </summary>
    public virtual Task<GetInferenceCacheResponse> GetInferenceCacheAsync(
        GetInferenceCacheRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetInferenceCacheAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>Every inference session that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<InferenceSession> EnumerateInferenceSessionsAsync(
        GetInferenceSessionsRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetInferenceSessionsRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.InferenceSessions, reply => reply.NextPageToken, cancellationToken);

        Task<GetInferenceSessionsResponse> FetchAsync(string token, CancellationToken stop) =>
            GetInferenceSessionsAsync(new(first) { PageToken = token }, null, stop);
    }
}
