namespace Coordinator.Client;

/// <summary>An address of the options, taken apart.</summary>
/// <param name="Target">Where the channel goes.</param>
/// <param name="SocketPath">The file of a socket, instead of a host.</param>
/// <param name="IsEncrypted">Whether it is spoken to by TLS.</param>
/// <param name="IsLocal">Whether it does not leave this machine.</param>
/// <param name="IsResolved">Whether a resolver finds its hosts.</param>
internal sealed record CoordinatorAddress(Uri Target, string? SocketPath, bool IsEncrypted, bool IsLocal, bool IsResolved)
{
    private const string Unix = "unix:";

    /// <exception cref="ArgumentException">It is none of the forms that there are.</exception>
    public static CoordinatorAddress Parse(string address)
    {
        if (address.StartsWith(Unix, StringComparison.Ordinal) && address.Length > Unix.Length)
        {
            var path = address[Unix.Length..];
            var file = path.StartsWith("///", StringComparison.Ordinal) ? path[2..] : path;
            return new CoordinatorAddress(new Uri("http://localhost"), file, false, true, false);
        }
        if (Uri.TryCreate(address, UriKind.Absolute, out var target))
        {
            switch (target.Scheme)
            {
                case "http" or "https" when target.Host.Length > 0:
                    return new CoordinatorAddress(target, null, target.Scheme == "https", target.IsLoopback, false);
                case "dns":
                    return new CoordinatorAddress(target, null, false, false, true);
            }
        }
        throw new ArgumentException(
            $"Address '{address}' is none; write http://host:port, https://host:port, unix:/path or dns:///host:port", nameof(address));
    }
}
