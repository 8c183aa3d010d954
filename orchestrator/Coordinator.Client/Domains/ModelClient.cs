namespace Coordinator.Client;

using Coordinator.Model.V1;
using Grpc.Core;

/// <summary>Models of the repository, and what of them is in memory.</summary>
/// <remarks>
/// Each method is one RPC. Its timeout bounds the wait, with all tries, and is that of the options if it is null; its
/// token gives up the wait, never the work. Both end the call at the coordinator.
/// </remarks>
public class ModelClient
{
    private readonly ModelService.ModelServiceClient _stub;

    internal ModelClient(CallInvoker invoker) => _stub = new ModelService.ModelServiceClient(invoker);

    /// <summary>For substitutes in tests; the methods of this class then have to be overridden.</summary>
    protected ModelClient() => _stub = null!;

    /// <summary>
    /// Lists the models of the repository, by model_id, one entry a version.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetModelsResponse> GetModelsAsync(
        GetModelsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetModelsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Describes one version of one model: digest, size, inputs, outputs, labels.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (MODEL_NOT_FOUND, with the nearest model_id), FAILED_PRECONDITION (MODEL_INVALID).
    /// </exception>
    public virtual Task<GetModelResponse> GetModelAsync(
        GetModelRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetModelAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Makes a model resident in the Inference service; does nothing if it is. Concurrent loads of a model are one
    /// load. Replies when it is resident, with the measured size.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (MODEL_NOT_FOUND), FAILED_PRECONDITION (MODEL_INVALID, DOMAIN_NOT_CONFIGURED), RESOURCE_EXHAUSTED
    /// (MODEL_BUDGET_EXCEEDED).
    /// </exception>
    public virtual Task<PostModelLoadResponse> PostModelLoadAsync(
        PostModelLoadRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostModelLoadAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Gives a model's memory back; does nothing if it is not resident. With drain it waits for the calls that hold it.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (MODEL_NOT_FOUND), FAILED_PRECONDITION (MODEL_IN_USE with the holders, DOMAIN_NOT_CONFIGURED).
    /// </exception>
    public virtual Task<PostModelUnloadResponse> PostModelUnloadAsync(
        PostModelUnloadRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostModelUnloadAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Tells which models are resident, their measured sizes, holders and the budget of each device.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// FAILED_PRECONDITION (DOMAIN_NOT_CONFIGURED).
    /// </exception>
    public virtual Task<GetModelCacheResponse> GetModelCacheAsync(
        GetModelCacheRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetModelCacheAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>Every model that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<ModelInfo> EnumerateModelsAsync(
        GetModelsRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetModelsRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.Models, reply => reply.NextPageToken, cancellationToken);

        Task<GetModelsResponse> FetchAsync(string token, CancellationToken stop) =>
            GetModelsAsync(new(first) { PageToken = token }, null, stop);
    }
}
