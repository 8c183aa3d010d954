namespace Coordinator.Client.Tests;

using Grpc.Core;
using Grpc.Health.V1;

/// <summary>A server that serves.</summary>
public sealed class FakeHealth : Health.HealthBase
{
    public override Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context) =>
        Task.FromResult(new HealthCheckResponse { Status = HealthCheckResponse.Types.ServingStatus.Serving });
}
