namespace Coordinator.Orchestrator.Tests.Hosting;

using System.Net;
using Coordinator.Processing.V1;
using Microsoft.AspNetCore.Hosting;

/// <summary>A web API that takes one request at once, and has it.</summary>
public sealed class InFlightLimitTests : OrchestratorTest
{
    [Fact]
    public async Task One_more_is_refused_whatever_it_asks_for_and_streams_are_not_counted()
    {
        var (arrived, free) = (new TaskCompletionSource(), new TaskCompletionSource());
        Fake.OnAsync<GetProcessingWorkflowRequest>(async (_, _) =>
        {
            arrived.SetResult();
            await free.Task;
            return new GetProcessingWorkflowResponse();
        });
        Fake.Updates = [new() { Snapshot = new Session { State = SessionState.Succeeded } }];
        var under = GetAsync("workflows/slow");
        await arrived.Task.WaitAsync(Token);

        using var more = await GetAsync("sessions/events");
        using var stream = await GetAsync("sessions/s/events");
        using var sameStream = await GetAsync("sessions/s/events/");
        free.SetResult();
        using var first = await under;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, more.StatusCode);
        Assert.NotNull(more.Headers.RetryAfter);
        Assert.True(stream.IsSuccessStatusCode && sameStream.IsSuccessStatusCode);
        Assert.Equal(HttpStatusCode.OK, first.StatusCode);
    }

    protected override void Configure(IWebHostBuilder builder) => builder.UseSetting("Orchestrator:MaxInFlight", "1");
}
