namespace Coordinator.Client;

using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

/// <summary>Streams of updates that go on over broken connections.</summary>
internal sealed class WatchLoop(CoordinatorClientOptions options, ContractCheck contract, ILogger logger)
{
    /// <param name="begin">Makes the watch; each enumeration has one of its own.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async IAsyncEnumerable<TUpdate> RunAsync<TUpdate>(
        Func<Watch<TUpdate>> begin, [EnumeratorCancellation] CancellationToken cancellationToken)
        where TUpdate : class
    {
        var watch = begin();
        var comeback = new Comeback(options, logger);
        while (!watch.HasEnded)
        {
            using var connection = new WatchConnection<TUpdate>(watch, contract);
            while (await connection.NextAsync(comeback, cancellationToken).ConfigureAwait(false) is { } updates)
            {
                foreach (var update in updates)
                {
                    yield return update;
                }
            }
        }
    }
}
