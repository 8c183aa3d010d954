namespace Coordinator.Orchestrator.Tests.Binary;

using System.Net;
using System.Text;
using Microsoft.AspNetCore.Hosting;

/// <summary>Forms that are not well: each is refused as the caller's fault, and nothing is executed.</summary>
public sealed class FormTests : OrchestratorTest
{
    [Theory]
    [InlineData("multipart/form-data", "x")]
    [InlineData("multipart/form-data; boundary=\"b", "x")]
    [InlineData("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=workflowId\r\n\r\nread")]
    [InlineData("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=request\r\n\r\n{\"labels\": {\"\\ud800\": \"a\"}}\r\n--b--\r\n")]
    [InlineData("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=page; filename=p\r\n\r\nread")]
    [InlineData("multipart/form-data; boundary=b", "--b\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\nH:1\r\nI:1\r\nJ:1\r\nK:1\r\nL:1\r\nM:1\r\nN:1\r\nO:1\r\nP:1\r\nQ:1\r\n\r\n\r\n--b--\r\n")]
    public async Task A_form_that_is_not_whole_or_not_a_form_is_refused(string contentType, string body)
    {
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
        content.Headers.TryAddWithoutValidation("Content-Type", contentType);

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", content);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_boundary_that_is_too_long_is_refused()
    {
        using var content = new ByteArrayContent([1]);
        content.Headers.TryAddWithoutValidation("Content-Type", "multipart/form-data; boundary=" + new string('b', 5000));

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", content);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task A_text_of_a_form_in_another_encoding_is_refused_and_not_damaged()
    {
        using var form = new MultipartFormDataContent { { new ByteArrayContent([0xe9]), "labels.team" } };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_file_and_a_payload_of_one_name_are_a_conflict()
    {
        using var form = new MultipartFormDataContent
        {
            { new StringContent("""{"payloads": {"page": {"mediaType": "image/png"}}}"""), "request" },
            { Bytes([1], "image/png"), "page", "page.png" },
        };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal("FIELD_CONFLICT", (string?)(await JsonAsync(response))["error"]!["reason"]);
    }

    [Fact]
    public async Task A_field_beside_the_same_one_in_the_request_is_a_conflict()
    {
        using var form = new MultipartFormDataContent
        {
            { new StringContent("""{"workflowId": "one"}"""), "request" },
            { new StringContent("other"), "workflowId" },
        };

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal("FIELD_CONFLICT", (string?)(await JsonAsync(response))["error"]!["reason"]);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task The_readable_parts_of_a_form_are_no_larger_than_a_body()
    {
        using var form = new MultipartFormDataContent();
        for (var number = 0; number < 3; number++)
        {
            form.Add(new StringContent(new string('x', 1500)), $"labels.l{number}");
        }

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_form_of_very_many_parts_is_refused()
    {
        using var form = new MultipartFormDataContent();
        for (var number = 0; number < 2000; number++)
        {
            form.Add(new StringContent(""), "x");
        }

        using var response = await SendAsync(HttpMethod.Post, "workflows/execute", form);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    protected override void Configure(IWebHostBuilder builder) => builder.UseSetting("Orchestrator:MaxBodyBytes", "4096");
}
