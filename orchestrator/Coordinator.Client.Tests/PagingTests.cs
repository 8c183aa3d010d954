namespace Coordinator.Client.Tests;

using Coordinator.Processing.V1;
using Xunit;

public sealed class PagingTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_list_is_walked_page_by_page_as_it_is_wanted()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnList = request =>
        {
            var page = request.PageToken.Length == 0 ? 0 : int.Parse(request.PageToken, System.Globalization.CultureInfo.InvariantCulture);
            return new GetProcessingSessionsResponse
            {
                Sessions = { new Session { SessionId = $"s{page}a" }, new Session { SessionId = $"s{page}b" } },
                NextPageToken = page < 2 ? $"{page + 1}" : "",
            };
        };
        await using var client = server.Client();
        var request = new GetProcessingSessionsRequest { PageSize = 2, Selector = new SessionSelector { WorkflowId = "echo" } };

        var first = await client.Processing.EnumerateProcessingSessionsAsync(request, Stop).FirstAsync(Stop);
        Assert.Equal("s0a", first.SessionId);
        Assert.Single(server.Processing.Names);

        var all = await client.Processing.EnumerateProcessingSessionsAsync(request, Stop).Select(session => session.SessionId).ToListAsync(Stop);

        Assert.Equal(["s0a", "s0b", "s1a", "s1b", "s2a", "s2b"], all);
        Assert.Equal("", request.PageToken);
        Assert.All(server.Processing.Calls.Select(call => call.Request).OfType<GetProcessingSessionsRequest>(), one => Assert.Equal("echo", one.Selector.WorkflowId));
    }

    [Fact]
    public async Task A_list_that_is_walked_again_begins_again()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnList = request => request.PageToken.Length == 0
            ? new() { Sessions = { new Session { SessionId = "first" } }, NextPageToken = "behind" }
            : new() { Sessions = { new Session { SessionId = "last" } } };
        await using var client = server.Client();
        var sessions = client.Processing.EnumerateProcessingSessionsAsync(cancellationToken: Stop).Select(session => session.SessionId);

        Assert.Equal(["first", "last"], await sessions.ToListAsync(Stop));
        Assert.Equal(["first", "last"], await sessions.ToListAsync(Stop));
    }
}
