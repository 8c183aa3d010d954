namespace Coordinator.Client;

using System.Security.Cryptography.X509Certificates;

/// <summary>Certificates of encrypted connections.</summary>
public sealed class TlsOptions
{
    /// <summary>The only authorities that are trusted. Default: null, those of the system.</summary>
    public IReadOnlyCollection<X509Certificate2>? TrustedRoots { get; set; }

    /// <summary>
    /// Gives the certificate that the client shows, with its private key; asked for each connection, so a new one is used
    /// without a restart. Default: none.
    /// </summary>
    public Func<X509Certificate2?>? ClientCertificate { get; set; }

    /// <summary>Name that the server's certificate has to have. Default: null, the host of the address.</summary>
    public string? ServerName { get; set; }
}
