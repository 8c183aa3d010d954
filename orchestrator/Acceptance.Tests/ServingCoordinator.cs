namespace Coordinator.Acceptance.Tests;

using Xunit;

/// <summary>A coordinator for all tests of a class.</summary>
public sealed class ServingCoordinator : IAsyncLifetime
{
    public CoordinatorProcess Coordinator { get; } = new();

    public async ValueTask InitializeAsync() => await Coordinator.StartAsync();

    public ValueTask DisposeAsync() => Coordinator.DisposeAsync();
}
