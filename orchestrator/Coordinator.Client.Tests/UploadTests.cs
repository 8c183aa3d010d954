namespace Coordinator.Client.Tests;

using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Grpc.Core;
using Xunit;

public sealed class UploadTests
{
    private const int Chunk = 1 << 20;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<int, int[]> Sizes => new()
    {
        { 0, [0] },
        { 5, [5] },
        { Chunk, [Chunk] },
        { (2 * Chunk) + 5, [Chunk, Chunk, 5] },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public async Task Content_goes_in_chunks_and_the_first_says_what_it_will_be(int size, int[] chunks)
    {
        await using var server = await FakeCoordinator.StartAsync();
        var came = new List<PostProcessingArtifactRequest>();
        server.Processing.OnUpload = async (requests, _) =>
        {
            await foreach (var request in requests.ReadAllAsync())
            {
                came.Add(request);
            }
            return new PostProcessingArtifactResponse();
        };
        await using var client = server.Client();
        using var content = new MemoryStream(new byte[size]);

        await client.Processing.PostProcessingArtifactAsync(content, new Artifact { MediaType = "image/png" }, Stop);

        Assert.Equal(chunks, came.Select(request => request.Data.Length));
        Assert.Equal(["image/png", .. chunks.Skip(1).Select(_ => "")], came.Select(request => request.Artifact?.MediaType ?? ""));
    }

    [Fact]
    public async Task Chunks_are_no_larger_than_messages_may_be()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var size = 0L;
        server.Processing.OnUpload = async (requests, _) =>
        {
            await foreach (var request in requests.ReadAllAsync())
            {
                size += request.Data.Length;
            }
            return new PostProcessingArtifactResponse();
        };
        await using var client = server.Client(options => (options.MaxMessageSize, options.StreamTimeout) = (1 << 18, TimeSpan.FromSeconds(5)));
        using var content = new MemoryStream(new byte[Chunk + 5]);

        await client.Processing.PostProcessingArtifactAsync(content, cancellationToken: Stop);

        Assert.Equal(Chunk + 5, size);
    }

    [Fact]
    public async Task A_refusal_before_the_end_is_what_the_caller_is_told()
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnUpload = (_, _) => throw Refusal.Of(StatusCode.ResourceExhausted, "PAYLOAD_TOO_LARGE");
        await using var client = server.Client();
        using var content = new MemoryStream(new byte[64 * Chunk]);

        var error = await Assert.ThrowsAsync<CoordinatorException>(
            () => client.Processing.PostProcessingArtifactAsync(content, cancellationToken: Stop));

        Assert.Equal("PAYLOAD_TOO_LARGE", error.ReasonName);
    }

    [Fact]
    public async Task Content_that_cannot_be_read_ends_the_call_with_its_own_error()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var (arrived, left) = (new TaskCompletionSource(), new TaskCompletionSource());
        server.Processing.OnUpload = async (requests, context) =>
        {
            context.CancellationToken.Register(left.SetResult);
            await requests.MoveNext();
            arrived.SetResult();
            await left.Task;
            return new PostProcessingArtifactResponse();
        };
        await using var client = server.Client();
        using var content = new BrokenContent(Chunk, arrived.Task);

        await Assert.ThrowsAsync<ObjectDisposedException>(
            () => client.Processing.PostProcessingArtifactAsync(content, cancellationToken: Stop));

        await left.Task.WaitAsync(Stop);
    }
}
