namespace Coordinator.Client;

using System.Text;

/// <summary>Paths of fields in C# names.</summary>
internal static class PropertyPaths
{
    /// <summary><c>Steps[2].MaxParallel</c> for <c>steps[2].max_parallel</c>; what stands in brackets is left as it is.</summary>
    public static string Of(string path)
    {
        var text = new StringBuilder(path.Length);
        var (depth, isStart) = (0, true);
        foreach (var letter in path)
        {
            depth += letter == '[' ? 1 : letter == ']' ? -1 : 0;
            if (depth > 0 || letter != '_')
            {
                text.Append(depth == 0 && isStart ? char.ToUpperInvariant(letter) : letter);
            }
            isStart = letter is '.' or '_' || char.IsAsciiDigit(letter);
        }
        return text.ToString();
    }
}
