namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>
    /// Lists the sessions, newest first, without steps and without the content of payloads.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetProcessingSessionsResponse> GetProcessingSessionsAsync(
        GetProcessingSessionsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingSessionsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Reads one session with its steps.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (SESSION_NOT_FOUND, SESSION_NOT_STORED).
    /// </exception>
    public virtual Task<GetProcessingSessionResponse> GetProcessingSessionAsync(
        GetProcessingSessionRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingSessionAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Reads the history of a session, oldest event first.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (SESSION_NOT_FOUND, SESSION_NOT_STORED), OUT_OF_RANGE (SEQUENCE_OUT_OF_RANGE), INVALID_ARGUMENT
    /// (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetProcessingSessionEventsResponse> GetProcessingSessionEventsAsync(
        GetProcessingSessionEventsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingSessionEventsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Pauses, resumes, cancels, terminates or retries a session, or all that a selector matches. Replies when the
    /// command has left its record, or shortly before the deadline of the call with applied = false.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (SESSION_NOT_FOUND, SESSION_NOT_STORED), FAILED_PRECONDITION (SESSION_STATE_ILLEGAL: the state, and
    /// what would be legal).
    /// </exception>
    public virtual Task<PostSessionControlResponse> PostSessionControlAsync(
        PostSessionControlRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostSessionControlAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Removes a session that has ended, with its history and the sessions of its steps. With force it is terminated
    /// first.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (SESSION_NOT_FOUND, SESSION_NOT_STORED), FAILED_PRECONDITION (SESSION_STATE_ILLEGAL).
    /// </exception>
    public virtual Task<DeleteProcessingSessionResponse> DeleteProcessingSessionAsync(
        DeleteProcessingSessionRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.DeleteProcessingSessionAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;
}
