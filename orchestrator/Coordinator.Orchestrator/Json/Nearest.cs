namespace Coordinator.Orchestrator.Json;

/// <summary>The known name that a wrong one was probably meant to be.</summary>
internal static class Nearest
{
    private const int LongestCompared = 64;

    /// <summary>The candidate with the fewest edits, if less than half of its letters differ; else empty.</summary>
    public static string To(string given, IEnumerable<string> candidates)
    {
        var best = candidates
            .Select(name => (name, distance: Distance(Cut(given), name)))
            .OrderBy(found => found.distance)
            .FirstOrDefault((name: "", distance: int.MaxValue));
        return best.distance * 2 <= best.name.Length ? best.name : "";
    }

    private static string Cut(string given) => given.Length > LongestCompared ? given[..LongestCompared] : given;

    /// <summary>Levenshtein's distance, letters compared without case.</summary>
    private static int Distance(string one, string other)
    {
        var previous = Enumerable.Range(0, other.Length + 1).ToArray();
        for (var row = 1; row <= one.Length; row++)
        {
            previous = NextRow(previous, one[row - 1], other, row);
        }
        return previous[^1];
    }

    private static int[] NextRow(int[] previous, char letter, string other, int row)
    {
        var next = new int[previous.Length];
        next[0] = row;
        for (var column = 1; column < next.Length; column++)
        {
            var same = char.ToUpperInvariant(letter) == char.ToUpperInvariant(other[column - 1]);
            var replaced = previous[column - 1] + (same ? 0 : 1);
            next[column] = Math.Min(replaced, 1 + Math.Min(previous[column], next[column - 1]));
        }
        return next;
    }
}
