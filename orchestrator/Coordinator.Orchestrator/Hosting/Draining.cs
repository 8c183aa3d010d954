namespace Coordinator.Orchestrator.Hosting;

using Coordinator.Orchestrator.Telemetry;
using Microsoft.Extensions.Options;

/// <summary>The order of the end: not ready, a delay for balancers to see it, no more _streams; then the host stops.</summary>
internal sealed class Draining(
    IHostApplicationLifetime lifetime, IOptions<OrchestratorOptions> options, TimeProvider clock, ILogger<Draining> logger)
    : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource _streams = new();
    private bool _isStopping;

    /// <summary>False from the moment the process is told to stop.</summary>
    public bool IsReady => !_isStopping && !lifetime.ApplicationStopping.IsCancellationRequested;

    /// <summary>Streams end with this; their readers come back elsewhere.</summary>
    public CancellationToken StreamsEnd => _streams.Token;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (_isStopping)
        {
            return;
        }
        _isStopping = true;
        logger.Draining(options.Value.DrainDelay.TotalSeconds);
        await Task.Delay(options.Value.DrainDelay, clock, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _streams.CancelAsync();
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _streams.Dispose();
}
