namespace Coordinator.Orchestrator.Tests.Binary;

using System.Net;
using Coordinator.Orchestrator.Binary;
using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.AspNetCore.Hosting;

public sealed class ContentTests : OrchestratorTest
{
    private static readonly byte[] Content = [.. Enumerable.Range(0, 3_000_000).Select(number => (byte)number)];

    [Fact]
    public async Task Content_goes_up_and_down_as_it_is()
    {
        using var stored = await SendAsync(HttpMethod.Post, "artifacts", Bytes(Content, "image/png"));
        using var read = await Client.GetAsync(stored.Headers.Location, Token);

        Assert.Equal(HttpStatusCode.Created, stored.StatusCode);
        Assert.Equal(Content, await read.Content.ReadAsByteArrayAsync(Token));
        Assert.Equal("image/png", read.Content.Headers.ContentType?.MediaType);
        Assert.InRange(Fake.LargestChunk, 1, 1 << 20);
    }

    [Fact]
    public async Task Content_that_is_refused_before_its_end_is_answered_with_why()
    {
        Fake.UploadRefusal = FakeCoordinator.Refusal(StatusCode.ResourceExhausted, "PAYLOAD_TOO_LARGE", "too large");

        using var response = await SendAsync(HttpMethod.Post, "artifacts", Bytes(new byte[20 << 20], "image/png"));

        Assert.Equal("PAYLOAD_TOO_LARGE", (string?)(await JsonAsync(response))["error"]!["reason"]);
    }

    [Fact]
    public async Task A_broken_download_goes_on_where_it_was()
    {
        using var stored = await SendAsync(HttpMethod.Post, "artifacts", Bytes(Content, "image/png"));
        var route = stored.Headers.Location!.ToString()["/api/processing/".Length..];

        using var rest = await GetAsync(route, ("Range", "bytes=2999990-"));
        using var wrong = await GetAsync(route, ("Range", "bytes=-5"));
        using var end = await GetAsync(route, ("Range", "bytes=3000000-"));
        using var behind = await GetAsync(route, ("Range", "bytes=3000001-"));

        Assert.Equal(HttpStatusCode.PartialContent, rest.StatusCode);
        Assert.Equal(Content[2_999_990..], await rest.Content.ReadAsByteArrayAsync(Token));
        Assert.All([wrong, end, behind], refused => Assert.Equal(HttpStatusCode.RequestedRangeNotSatisfiable, refused.StatusCode));
    }

    [Theory]
    [InlineData("t\u00e9xt/plain")]
    [InlineData("a\r\nb: c")]
    public async Task A_media_type_that_no_header_can_have_is_not_told(string mediaType)
    {
        Fake.Artifacts["d"] = (new Artifact { Digest = "d", SizeBytes = 1, MediaType = mediaType }, [1]);
        Fake.On<GetProcessingSessionRequest>(_ => SessionWith(new Datum { InlineBytes = ByteString.CopyFrom(1), MediaType = mediaType }));

        using var artifact = await GetAsync("artifacts/d");
        using var payload = await GetAsync("sessions/s/payloads/out");

        Assert.All([artifact, payload], read => Assert.Equal("application/octet-stream", read.Content.Headers.ContentType?.MediaType));
    }

    [Fact]
    public async Task A_digest_that_nobody_has_is_404()
    {
        using var response = await GetAsync("artifacts/none");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("ARTIFACT_NOT_FOUND", (string?)(await JsonAsync(response))["error"]!["reason"]);
    }

    [Fact]
    public async Task A_form_is_a_request_with_its_files_as_payloads()
    {
        using var form = new MultipartFormDataContent
        {
            { new StringContent("read-text"), "workflowId" },
            { new StringContent("ocr"), "labels.team" },
            { new StringContent("hello"), "parameters.text" },
            { Bytes(Content, "image/png"), "page", "page.png" },
        };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);
        var request = Assert.IsType<PostWorkflowExecuteRequest>(Assert.Single(Fake.Requests));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(("read-text", "ocr", "hello"), (request.WorkflowId, request.Labels["team"], request.Parameters.Fields["text"].StringValue));
        Assert.Equal(Content, Fake.Artifacts[request.Payloads["page"].Artifact.Digest].Content);
    }

    [Fact]
    public async Task A_form_takes_the_request_as_JSON_too()
    {
        using var form = new MultipartFormDataContent
        {
            { new StringContent("""{"idWorkflow": "read-text"}"""), "request" },
            { Bytes([1], "image/png"), "page", "page.png" },
        };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal("read-text", Assert.IsType<PostWorkflowExecuteRequest>(Assert.Single(Fake.Requests)).WorkflowId);
        Assert.NotNull((await JsonAsync(response))["warnings"]);
    }

    [Theory]
    [InlineData("nothing", "x")]
    [InlineData("request", "{")]
    [InlineData("request", """{"workflowId": "\ud800"}""")]
    [InlineData("priority", "high")]
    public async Task A_wrong_field_of_a_form_is_refused(string name, string value)
    {
        using var form = new MultipartFormDataContent { { new StringContent(value), name } };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(name, (string?)(await JsonAsync(response))["error"]!["fields"]![0]!["field"]);
    }

    [Fact]
    public async Task Two_payloads_of_one_name_are_a_conflict()
    {
        using var form = new MultipartFormDataContent
        {
            { new StringContent("""{"payloads": {"page": {"inlineBytes": "AA=="}}}"""), "request" },
            { Bytes([1], "image/png"), "page", "page.png" },
        };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal("FIELD_CONFLICT", (string?)(await JsonAsync(response))["error"]!["reason"]);
    }

    [Theory]
    [InlineData("name=\"workflowId\"\r\n\r\nw")]
    [InlineData("name=\"f\"; filename=\"f\"\r\n\r\nhello")]
    [InlineData("name=\"f\"; file")]
    [InlineData("name=\"f\"\r\nno header\r\n\r\nhello\r\n--B--")]
    public async Task A_form_that_is_cut_off_or_garbled_is_refused(string part)
    {
        var body = System.Text.Encoding.ASCII.GetBytes("--B\r\nContent-Disposition: form-data; " + part);

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", Bytes(body, "multipart/form-data; boundary=B"));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(Fake.Artifacts);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_body_that_is_no_form_is_refused()
    {
        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", Bytes([1, 2, 3], "multipart/form-data; boundary=none"));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task Content_may_be_as_large_as_content_however_its_route_is_written()
    {
        using var stored = await SendAsync(HttpMethod.Post, "artifacts/", Bytes(Content, "image/png"));

        Assert.Equal(HttpStatusCode.Created, stored.StatusCode);
    }

    [Theory]
    [InlineData("text/html", "text/html")]
    [InlineData("not a media type", "application/octet-stream")]
    [InlineData("text/plain\r\nX-Other: 1", "application/octet-stream")]
    public async Task Content_is_never_a_page_of_this_server(string mediaType, string told)
    {
        Fake.On<GetProcessingSessionRequest>(_ => SessionWith(new Datum { InlineBytes = ByteString.CopyFrom(1, 2), MediaType = mediaType }));

        using var read = await GetAsync("sessions/s/payloads/out");

        Assert.Equal(HttpStatusCode.OK, read.StatusCode);
        Assert.Equal(told, read.Content.Headers.ContentType?.MediaType);
        Assert.Equal("nosniff", read.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.Equal("default-src 'none'; sandbox", read.Headers.GetValues("Content-Security-Policy").Single());
    }

    [Fact]
    public async Task A_tensor_may_have_to_have_a_digest()
    {
        const string Type = "application/vnd.coordinator.tensor; data-type=uint8; shape=\"3\"";

        using var response = await SendAsync(HttpMethod.Post, "artifacts?digest=abc", Bytes([1, 2, 3], Type));

        Assert.Equal("abc", Fake.Announced?.Digest);
    }

    [Fact]
    public async Task Raw_elements_become_a_tensor_and_come_back_raw()
    {
        var elements = new byte[2 * 3 * 4];
        Random.Shared.NextBytes(elements);
        const string Type = "application/vnd.coordinator.tensor; data-type=float32; shape=\"2,3\"";

        using var stored = await SendAsync(HttpMethod.Post, "artifacts", Bytes(elements, Type));
        var artifact = Fake.Artifacts.Values.Single();
        var tensor = Tensor.Parser.ParseFrom(artifact.Content);
        Fake.On<GetProcessingSessionRequest>(_ => SessionWith(new Datum { Artifact = artifact.Artifact }));
        using var read = await GetAsync("sessions/s/payloads/out");

        Assert.Equal(DataType.Float32, tensor.DataType);
        Assert.Equal(elements, tensor.Data.ToByteArray());
        Assert.Equal([2, 3], tensor.Shape);
        Assert.Equal("coordinator.payload.v1.Tensor", artifact.Artifact.TypeName);
        Assert.Equal(elements, await read.Content.ReadAsByteArrayAsync(Token));
        Assert.Equal(Type, read.Content.Headers.ContentType?.ToString());
    }

    [Theory]
    [InlineData("data-type=float32; shape=\"2,2\"")]
    [InlineData("data-type=float; shape=\"2,3\"")]
    [InlineData("data-type=float32; shape=\"2,x\"")]
    [InlineData("data-type=float32; shape=\"9999999999,9999999999\"")]
    [InlineData("data-type=float32; shape=2,3")]
    public async Task A_tensor_that_is_not_what_it_says_is_refused(string parameters)
    {
        using var response = await SendAsync(HttpMethod.Post, "artifacts", Bytes(new byte[24], "application/vnd.coordinator.tensor; " + parameters));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(Fake.Artifacts);
    }

    [Fact]
    public async Task A_tensor_of_unknown_length_that_would_be_too_large_is_refused()
    {
        using var content = new ByteArrayContent([1, 2, 3]);
        content.Headers.ContentLength = null;
        content.Headers.TryAddWithoutValidation("Content-Type", "application/vnd.coordinator.tensor; data-type=float32; shape=\"100000,100000\"");

        using var response = await SendAsync(HttpMethod.Post, "artifacts", content, ("Transfer-Encoding", "chunked"));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task Small_payloads_come_as_they_are_and_unknown_ones_name_the_nearest()
    {
        Fake.On<GetProcessingSessionRequest>(_ => SessionWith(new Datum { InlineBytes = ByteString.CopyFrom(1, 2), MediaType = "image/png" }));

        using var read = await GetAsync("sessions/s/payloads/out");
        using var missing = await GetAsync("sessions/s/payloads/outs");

        Assert.Equal([1, 2], await read.Content.ReadAsByteArrayAsync(Token));
        Assert.Equal("out", (string?)(await JsonAsync(missing))["error"]!["fields"]![0]!["suggestion"]);
    }

    [Fact]
    public void The_head_of_a_tensor_is_read_as_it_was_written()
    {
        var announced = new Tensor { DataType = DataType.Int64, Shape = { 5, 300 } };

        var (tensor, start) = TensorFrame.Read(TensorFrame.Head(announced).Span);

        Assert.Equal(announced, tensor);
        Assert.Equal(TensorFrame.Head(announced).Length, start);
    }

    protected override void Configure(IWebHostBuilder builder) => builder.UseSetting("Orchestrator:MaxBodyBytes", "2000000");

    private static GetProcessingSessionResponse SessionWith(Datum datum) => new() { Session = new Session { Payloads = { ["out"] = datum } } };
}
