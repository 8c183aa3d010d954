namespace Coordinator.Client;

using Coordinator.Postprocessing.V1;
using Grpc.Core;

/// <summary>Operations on images, tensors and texts.</summary>
/// <remarks>
/// Each method is one RPC. Its timeout bounds the wait, with all tries, and is that of the options if it is null; its
/// token gives up the wait, never the work. Both end the call at the coordinator.
/// </remarks>
public class PostprocessingClient
{
    private readonly PostprocessingService.PostprocessingServiceClient _stub;

    internal PostprocessingClient(CallInvoker invoker) => _stub = new PostprocessingService.PostprocessingServiceClient(invoker);

    /// <summary>For substitutes in tests; the methods of this class then have to be overridden.</summary>
    protected PostprocessingClient() => _stub = null!;

    /// <summary>
    /// Lists the operations with their parameters and the limits on images.
    /// </summary>
    public virtual Task<GetPostprocessingCapabilitiesResponse> GetPostprocessingCapabilitiesAsync(
        GetPostprocessingCapabilitiesRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetPostprocessingCapabilitiesAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Runs the operation that is set in the request and replies with the result of the same name.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (FIELD_REQUIRED if no operation is set, FIELD_INVALID, TENSOR_INVALID, IMAGE_INVALID,
    /// IMAGE_TOO_LARGE), RESOURCE_EXHAUSTED (PAYLOAD_TOO_LARGE).
    /// </exception>
    public virtual Task<PostPostprocessingExecuteResponse> PostPostprocessingExecuteAsync(
        PostPostprocessingExecuteRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostPostprocessingExecuteAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;
}
