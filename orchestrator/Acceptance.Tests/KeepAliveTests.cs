namespace Coordinator.Acceptance.Tests;

using Coordinator.Processing.V1;
using Xunit;

/// <summary>Pings on a connection on which nothing else happens.</summary>
public sealed class KeepAliveTests
{
    /// <summary>A gRPC server without a floor of its own ends the connection at the fourth ping, after some 39 s.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(55);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("speed", "slow")]
    public async Task A_silent_watch_that_pings_as_often_as_it_may_is_not_cut()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        using var log = new KeptLog();
        await using var client = coordinator.Client(options =>
        {
            options.KeepAlive.Delay = TimeSpan.FromSeconds(10);
            options.LoggerFactory = log;
        });
        await Workflows.PutAsync(client, Stop);
        var session = await client.Processing.StartAsync(Workflows.Echo("silent", "0.5s"), Stop);
        await session.PauseAsync(Stop);
        while ((await session.GetAsync(Stop)).State != SessionState.Paused)
        {
        }
        var watch = session.WaitAsync(Stop);

        await Task.Delay(Silence, Stop);
        await session.ResumeAsync(Stop);

        Assert.Equal(SessionState.Succeeded, (await watch).State);
        Assert.DoesNotContain(log.Lines, line => line.Contains("a watch broke", StringComparison.Ordinal));
    }
}
