namespace Coordinator.Orchestrator.Tests.Security;

using System.Net;
using Coordinator.Processing.V1;
using Grpc.Core;
using Microsoft.AspNetCore.Hosting;

/// <summary>A token that is asked for here and shown to the coordinator, too; and the page to try it, which needs none.</summary>
public sealed class BearerForwardingTests : OrchestratorTest
{
    private readonly Issuer _issuer = new();

    [Fact]
    public async Task The_coordinator_is_shown_the_token_that_was_enough()
    {
        var header = _issuer.Header("read");

        using var response = await GetAsync("workflows/any", header);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(header.Value, Fake.Headers.GetValue("authorization"));
    }

    [Fact]
    public async Task A_token_that_the_coordinator_refuses_is_the_callers()
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.PermissionDenied, "PERMISSION_DENIED", "the token may only read");

        using var response = await GetAsync("workflows/any", _issuer.Header("read"));

        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        Assert.Equal("the token may only read", (string?)(await JsonAsync(response))["message"]);
    }

    [Fact]
    public async Task A_token_that_is_refused_here_is_not_shown()
    {
        using var response = await GetAsync("workflows/any", _issuer.Forged().Header("read"));

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.Empty(Fake.Requests);
    }

    [Theory]
    [InlineData("/scalar/")]
    [InlineData("/openapi/v1.json")]
    public async Task The_page_to_try_it_and_its_document_are_open_where_it_is_served(string path)
    {
        using var response = await Client.GetAsync(new Uri(path, UriKind.Relative), Token);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    protected override void Configure(IWebHostBuilder builder)
    {
        _issuer.Configure(builder);
        builder.UseSetting("Orchestrator:ForwardToken", "true");
    }
}
