namespace Coordinator.Client;

using Microsoft.Extensions.Logging;

/// <summary>How a client reaches a coordinator, who asks, and how long it waits and tries.</summary>
public sealed class CoordinatorClientOptions
{
    /// <summary>
    /// Where the coordinator is: <c>http://host:port</c>, <c>https://host:port</c>, <c>unix:/path</c>, or
    /// <c>dns:///host:port</c> to spread calls over all addresses of a name. Default: <c>http://localhost:50051</c>.
    /// </summary>
    public string Address { get; set; } = "http://localhost:50051";

    /// <summary>
    /// Longest wait for a reply, all tries and the contract check included, unless the call says otherwise. It bounds
    /// the wait, never the work. Default: 30 seconds.
    /// </summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long one connection of a stream lasts: a watch is then opened anew where it stood, which the caller does not
    /// see; a transfer of an artifact has to be done by then. Default: 1 hour.
    /// </summary>
    public TimeSpan StreamTimeout { get; set; } = TimeSpan.FromHours(1);

    /// <summary>How long a watch tries to come back after its connection broke. Default: 60 seconds.</summary>
    public TimeSpan ReconnectWindow { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>Largest message that is sent or taken, in bytes; at least 16 KiB. Default: 4 MiB, as the server's.</summary>
    public int MaxMessageSize { get; set; } = 4 << 20;

    /// <summary>Which tries are made of a call.</summary>
    public RetryOptions Retry { get; set; } = new();

    /// <summary>
    /// After how long without a reply a read is asked for once more, and again after as long, up to
    /// <see cref="RetryOptions.MaxAttempts"/> at the same time; the first reply counts, the other calls are cancelled. For
    /// unary <c>Get</c> calls only, nothing that changes anything. Such a read that fails is tried again at once, without
    /// the waits of <see cref="Retry"/>. Costs the coordinator up to that many times the reads. Default: null, never.
    /// </summary>
    public TimeSpan? HedgeReadsAfter { get; set; }

    /// <summary>Pings that keep silent connections open and find dead ones.</summary>
    public KeepAliveOptions KeepAlive { get; set; } = new();

    /// <summary>Certificates; used with <c>https</c> addresses only.</summary>
    public TlsOptions Tls { get; set; } = new();

    /// <summary>
    /// Gives the bearer token of one call, empty for none; asked for each try. Default: none. On a connection that is
    /// not encrypted it is refused unless it is local or <see cref="AllowTokenWithoutTls"/> is set.
    /// </summary>
    public Func<CancellationToken, ValueTask<string>>? AccessToken { get; set; }

    /// <summary>Sends the token over connections that are not encrypted, too. Default: false.</summary>
    public bool AllowTokenWithoutTls { get; set; }

    /// <summary>Metadata of every call, by key in lower case. Default: empty.</summary>
    public IDictionary<string, string> Metadata { get; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Checks at the first call that the coordinator has a contract of the same major version. Default: true.</summary>
    public bool CheckContract { get; set; } = true;

    /// <summary>The HTTP side, for tests; it is not disposed with the client. Default: one that the client makes.</summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>Clock of waits between connections of a watch. Default: that of the system.</summary>
    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;

    /// <summary>Where the client logs. Default: nowhere, or the host's in a service collection.</summary>
    public ILoggerFactory? LoggerFactory { get; set; }
}
