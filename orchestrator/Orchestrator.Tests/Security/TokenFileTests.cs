namespace Coordinator.Orchestrator.Tests.Security;

using System.Net;
using Microsoft.AspNetCore.Hosting;

public sealed class TokenFileTests : OrchestratorTest
{
    private readonly string _file = Path.Combine(AppContext.BaseDirectory, "token-of-" + nameof(TokenFileTests));

    [Fact]
    public async Task A_file_that_cannot_be_read_is_its_operators_matter_and_is_read_again()
    {
        File.Delete(_file);
        using var missing = await GetAsync("workflows/any");
        await File.WriteAllTextAsync(_file, "mended\n", Token);
        using var mended = await GetAsync("workflows/any");

        Assert.Equal(HttpStatusCode.BadGateway, missing.StatusCode);
        Assert.Contains("Orchestrator:TokenFile", (string?)(await JsonAsync(missing))["message"], StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, mended.StatusCode);
        Assert.Equal("Bearer mended", Fake.Headers.GetValue("authorization"));
    }

    protected override void Configure(IWebHostBuilder builder) => builder.UseSetting("Orchestrator:TokenFile", _file);
}
