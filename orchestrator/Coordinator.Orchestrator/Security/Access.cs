namespace Coordinator.Orchestrator.Security;

/// <summary>What callers may do, by the names of their scopes and roles; who may do one may do all before it.</summary>
internal static class Access
{
    /// <summary>Look at anything: GET, also as a stream.</summary>
    public const string Read = "read";

    /// <summary>Execute, plan, create, control, upload: POST.</summary>
    public const string Operate = "operate";

    /// <summary>Put and remove workflows, remove sessions and batches: PUT and DELETE.</summary>
    public const string Admin = "admin";

    /// <summary>All of them, the least first.</summary>
    public static IReadOnlyList<string> All { get; } = [Read, Operate, Admin];

    /// <summary>What a method takes; one that nobody thought of takes the most.</summary>
    public static string Of(string httpMethod) => httpMethod switch
    {
        "GET" or "HEAD" => Read,
        "POST" => Operate,
        _ => Admin,
    };

    /// <summary>Every one that is enough where <paramref name="access"/> is needed.</summary>
    public static IReadOnlyList<string> Sufficient(string access) => [.. All.SkipWhile(one => one != access)];
}
