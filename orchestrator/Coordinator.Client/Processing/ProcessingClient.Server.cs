namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>
    /// Calls one unary RPC of one domain: operation `domain.rpc_in_snake_case`. Replies with its response as a Struct;
    /// its bytes and tensors stand in payloads, by field path.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (DOMAIN_NOT_FOUND, OPERATION_NOT_FOUND with the nearest), INVALID_ARGUMENT (FIELD_UNKNOWN with the
    /// nearest, FIELD_CONFLICT), and those of the RPC itself.
    /// </exception>
    public virtual Task<PostCommandExecuteResponse> PostCommandExecuteAsync(
        PostCommandExecuteRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostCommandExecuteAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Lists the domains with their operations and health.
    /// </summary>
    public virtual Task<GetProcessingDomainsResponse> GetProcessingDomainsAsync(
        GetProcessingDomainsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingDomainsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Tells the version of the contract, the digest of its descriptors, features and limits.
    /// </summary>
    public virtual Task<GetProcessingContractResponse> GetProcessingContractAsync(
        GetProcessingContractRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingContractAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;
}
