namespace Coordinator.Acceptance.Tests;

/// <summary>Where the Python half is.</summary>
internal static class Checkout
{
    /// <summary>The root of the project.</summary>
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    /// <summary>The interpreter that has the coordinator.</summary>
    public static string Python { get; } =
        Environment.GetEnvironmentVariable("COORDINATOR_PYTHON") ?? Path.Combine(Root, ".venv", "bin", "python");

    /// <summary>The text of a workflow of the examples.</summary>
    public static string Workflow(string workflowId) => File.ReadAllText(Path.Combine(Root, "examples", "workflows", $"{workflowId}.yaml"));

    /// <summary>A page of the examples.</summary>
    public static byte[] Page(string name) => File.ReadAllBytes(Path.Combine(Root, "examples", "pages", name));

    private static string Find(string folder)
    {
        while (!File.Exists(Path.Combine(folder, "pyproject.toml")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("no pyproject.toml above the tests");
        }
        return folder;
    }
}
