namespace Coordinator.Orchestrator.Tests.Hosting;

using System.Net;
using Grpc.Health.V1;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

public sealed class HealthTests : OrchestratorTest
{
    [Fact]
    public async Task Ready_is_what_the_coordinator_says_and_live_is_not()
    {
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("ready"));

        Fake.Health = HealthCheckResponse.Types.ServingStatus.NotServing;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, await StatusAsync("ready"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("live"));
    }

    [Fact]
    public async Task A_coordinator_that_is_down_is_not_ready()
    {
        await Fake.DisposeAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, await StatusAsync("ready"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("live"));
    }

    [Fact]
    public async Task Who_drains_is_not_ready_and_still_answers()
    {
        var stopping = Services.GetRequiredService<IHost>().StopAsync(Token);

        while (await StatusAsync("ready") == HttpStatusCode.OK)
        {
            await Task.Yield();
        }

        Assert.Equal(HttpStatusCode.OK, await StatusAsync("live"));
        await stopping;
    }

    protected override void Configure(IWebHostBuilder builder) => builder.UseSetting("Orchestrator:DrainDelay", "00:00:01");

    private async Task<HttpStatusCode> StatusAsync(string name)
    {
        using var response = await Client.GetAsync(new Uri("/health/" + name, UriKind.Relative), Token);
        return response.StatusCode;
    }
}
