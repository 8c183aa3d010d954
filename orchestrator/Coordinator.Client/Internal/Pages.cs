namespace Coordinator.Client;

using System.Runtime.CompilerServices;

/// <summary>Walks lists, each page fetched when it is wanted.</summary>
internal static class Pages
{
    /// <param name="first">The token of the first page; empty for the beginning.</param>
    /// <param name="fetch">Fetches the page of a token.</param>
    /// <param name="items">The entries of a page.</param>
    /// <param name="next">The token of the page behind it; empty behind the last.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async IAsyncEnumerable<TItem> WalkAsync<TPage, TItem>(
        string first, Func<string, CancellationToken, Task<TPage>> fetch, Func<TPage, IEnumerable<TItem>> items,
        Func<TPage, string> next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var token = first;
        do
        {
            var page = await fetch(token, cancellationToken).ConfigureAwait(false);
            foreach (var item in items(page))
            {
                yield return item;
            }
            token = next(page);
        }
        while (token.Length > 0);
    }
}
