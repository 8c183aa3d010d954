namespace Coordinator.Orchestrator.Tests.Security;

using System.Net;
using Coordinator.Processing.V1;
using Grpc.Core;
using Microsoft.AspNetCore.Hosting;

public sealed class TokenForwardingTests : OrchestratorTest
{
    private readonly string _own = Path.Combine(AppContext.BaseDirectory, "own-token");

    [Theory]
    [InlineData(StatusCode.Unauthenticated, "UNAUTHENTICATED", 401)]
    [InlineData(StatusCode.PermissionDenied, "PERMISSION_DENIED", 403)]
    public async Task A_forwarded_token_that_is_refused_is_the_callers(StatusCode code, string reason, int status)
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(code, reason, "no");

        using var response = await GetAsync("workflows/any", ("Authorization", "Bearer callers"));

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("Bearer callers", Fake.Headers.GetValue("authorization"));
        Assert.Equal(status == 401, response.Headers.WwwAuthenticate.Count == 1);
    }

    [Fact]
    public async Task A_caller_without_a_token_does_not_borrow_that_of_the_orchestrator()
    {
        using var response = await GetAsync("workflows/any");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.DoesNotContain(Fake.Headers, header => header.Key == "authorization");
    }

    [Fact]
    public async Task A_caller_without_a_token_who_is_refused_is_asked_for_one()
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.Unauthenticated, "UNAUTHENTICATED", "no token");

        using var response = await GetAsync("workflows/any");

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
    }

    [Fact]
    public async Task A_token_that_no_call_can_carry_is_401()
    {
        using var response = await GetAsync("workflows/any", ("Authorization", "Bearer " + new string('a', 20_000)));

        Assert.Equal(401, (int)response.StatusCode);
        Assert.Empty(Fake.Requests);
    }

    protected override void Configure(IWebHostBuilder builder)
    {
        File.WriteAllText(_own, "of-the-orchestrator");
        builder.UseSetting("Orchestrator:ForwardToken", "true");
        builder.UseSetting("Orchestrator:TokenFile", _own);
    }
}
