namespace Coordinator.Acceptance.Tests.Rest;

using System.Net;
using Xunit;

/// <summary>A coordinator that asks for tokens of its own, one of which may only read.</summary>
public sealed class TokenTests : IAsyncLifetime
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("tokens-");
    private readonly CoordinatorProcess _coordinator = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var (all, reads) = (File("all", "may-do-all"), File("reads", "may-read"));
        _coordinator.Environment["PROCESSING_SERVICE__TOKENS"] =
            $$"""[{"actor": "operator", "secret_file": "{{all}}"}, {"actor": "dashboard", "secret_file": "{{reads}}", "read_only": true}]""";
        await _coordinator.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _coordinator.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData("may-do-all", 200, 404)]
    [InlineData("may-read", 200, 403)]
    [InlineData("nobody-knows-it", 401, 401)]
    [InlineData("", 401, 401)]
    public async Task The_token_of_the_caller_is_judged_by_the_coordinator(string token, int read, int changed)
    {
        await using var api = new WebApi(_coordinator.Address, ("Orchestrator:ForwardToken", "true"));
        var header = token.Length > 0 ? ("Authorization", "Bearer " + token) : ("Accept", "*/*");

        using var list = await api.GetAsync("workflows", header);
        using var execute = await api.PostAsync("workflows/execute", """{"workflowId": "nothing"}""", header);

        Assert.Equal((read, changed), ((int)list.StatusCode, (int)execute.StatusCode));
        Assert.Equal(read == 401, list.Headers.WwwAuthenticate.Count == 1);
    }

    [Theory]
    [InlineData("may-do-all", 200)]
    [InlineData("nobody-knows-it", 502)]
    public async Task The_token_of_the_web_API_is_its_operators_matter(string token, int status)
    {
        await using var api = new WebApi(_coordinator.Address, ("Orchestrator:TokenFile", File("own", token)));

        using var list = await api.GetAsync("workflows", ("Authorization", "Bearer of-the-caller"));

        Assert.Equal(status, (int)list.StatusCode);
    }

    [Fact]
    public async Task A_web_API_that_has_no_token_of_its_own_is_ready_all_the_same()
    {
        await using var api = new WebApi(_coordinator.Address, ("Orchestrator:ForwardToken", "true"));

        using var ready = await api.Client.GetAsync(new Uri("/health/ready", UriKind.Relative), Token);

        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
    }

    private string File(string name, string text)
    {
        var path = Path.Combine(_folder.FullName, name);
        System.IO.File.WriteAllText(path, text);
        return path;
    }
}
