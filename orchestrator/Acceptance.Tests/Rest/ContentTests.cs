namespace Coordinator.Acceptance.Tests.Rest;

using System.Net;
using Xunit;

/// <summary>Pages and pictures, as binary, through the real coordinator.</summary>
public sealed class ContentTests(ServingCoordinator serving) : IClassFixture<ServingCoordinator>, IAsyncLifetime
{
    private readonly WebApi _api = new(serving.Coordinator.Address);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await _api.PutAsync("read-text");

    public ValueTask DisposeAsync() => _api.DisposeAsync();

    [Fact]
    public async Task A_page_goes_up_as_a_file_and_its_text_and_picture_come_back()
    {
        using var form = new MultipartFormDataContent
        {
            { new StringContent("read-text"), "workflowId" },
            { WebApi.Bytes(Checkout.Page("06-receipt.png"), "image/png"), "page", "06-receipt.png" },
        };

        using var response = await _api.SendAsync(HttpMethod.Post, "workflows/execute", form);
        var session = (await WebApi.JsonAsync(response))["data"]!["session"]!;
        using var picture = await _api.GetAsync($"sessions/{session["sessionId"]}/payloads/annotated");
        var bytes = await picture.Content.ReadAsByteArrayAsync(Token);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Contains("Café Zürich", (string?)session["outputs"]!["text"], StringComparison.Ordinal);
        Assert.Equal("image/png", picture.Content.Headers.ContentType?.MediaType);
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], bytes[..4]);
    }

    [Fact]
    public async Task An_artifact_comes_back_as_it_went_up_and_a_wrong_digest_is_refused()
    {
        var content = new byte[5_000_000];
        new Random(1).NextBytes(content);
        using var stored = await _api.SendAsync(HttpMethod.Post, "artifacts", WebApi.Bytes(content, "application/octet-stream"));
        using var wrong = await _api.SendAsync(HttpMethod.Post, "artifacts?digest=" + new string('0', 64), WebApi.Bytes(content, "application/octet-stream"));
        using var read = await _api.Client.GetAsync(stored.Headers.Location, Token);

        Assert.Equal(HttpStatusCode.Created, stored.StatusCode);
        Assert.Equal(content, await read.Content.ReadAsByteArrayAsync(Token));
        Assert.Equal("DIGEST_MISMATCH", (string?)(await WebApi.JsonAsync(wrong))["error"]!["reason"]);
    }
}
