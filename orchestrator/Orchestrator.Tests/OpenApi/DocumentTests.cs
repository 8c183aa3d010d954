namespace Coordinator.Orchestrator.Tests.OpenApi;

using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Coordinator.Acceptance.Tests;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.OpenApi;
using Coordinator.Processing.V1;

public sealed partial class DocumentTests : OrchestratorTest
{
    private const string Update = "UPDATE_OPENAPI";

    [Fact]
    public async Task The_document_is_the_one_that_is_committed()
    {
        var document = await Client.GetStringAsync(new Uri("/openapi/v1.json", UriKind.Relative), Token) + "\n";
        var file = Path.Combine(Checkout.Root, "orchestrator", "Coordinator.Orchestrator", "openapi.json");
        if (Environment.GetEnvironmentVariable(Update) is not null)
        {
            await File.WriteAllTextAsync(file, document, Token);
        }

        Assert.True(await File.ReadAllTextAsync(file, Token) == document, $"openapi.json is stale: run the tests once with {Update}=1, and commit it");
    }

    [Fact]
    public void Every_example_of_a_body_is_a_message_without_legacy_spellings()
    {
        var requests = ProcessingService.Descriptor.Methods.Select(method => method.InputType).ToDictionary(type => type.Name);
        foreach (var (name, json) in Examples.Bodies)
        {
            Assert.Empty(MessageReader.Read(Encoding.UTF8.GetBytes(json), requests[name]).Legacy);
        }
    }

    [Fact]
    public async Task Every_reference_of_the_document_has_its_component()
    {
        var document = await DocumentAsync();
        var components = document["components"]!;
        var references = References(document).Distinct().ToList();

        Assert.NotEmpty(references);
        Assert.All(references, reference => Assert.NotNull(components[reference.Split('/')[0]]![reference.Split('/')[1]]));
    }

    [Fact]
    public async Task Every_message_of_the_document_has_its_fields()
    {
        var schemas = (await DocumentAsync())["components"]!["schemas"]!;
        var messages = ProcessingService.Descriptor.Methods.SelectMany(method => new[] { method.InputType, method.OutputType });
        var shown = messages.Where(message => schemas[message.Name] is not null).ToList();

        Assert.Contains(PostWorkflowExecuteRequest.Descriptor, shown);
        Assert.All(shown, message => Assert.Equal(
            message.Fields.InFieldNumberOrder().Select(field => field.JsonName),
            (schemas[message.Name]!["properties"]?.AsObject() ?? []).Select(property => property.Key)));
    }

    [Fact]
    public async Task Every_message_and_field_has_the_text_of_the_contract()
    {
        var schemas = (await DocumentAsync())["components"]!["schemas"]!.AsObject().Where(schema => schema.Key != "ApiError");
        var messages = schemas.Where(schema => schema.Value!["enum"] is null).ToList();

        Assert.All(messages, schema => Assert.NotNull(schema.Value!["description"]));
        Assert.All(messages.SelectMany(schema => schema.Value!["properties"]?.AsObject() ?? []), field => Assert.NotNull(field.Value!["description"]));
    }

    [Fact]
    public async Task The_text_of_a_body_is_that_of_its_parameter() =>
        Assert.Equal("What to run, and with what.", (string?)(await DocumentAsync())["paths"]!["/api/processing/workflows/execute"]!["post"]!["requestBody"]!["description"]);

    [Fact]
    public async Task Every_route_says_which_scope_of_a_token_it_needs()
    {
        var needs = new Dictionary<string, string> { ["get"] = "read", ["post"] = "operate", ["put"] = "admin", ["delete"] = "admin" };
        var document = await DocumentAsync();
        var operations = document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject());

        Assert.Equal(("http", "bearer"), ((string?)document["components"]!["securitySchemes"]!["bearer"]!["type"], (string?)document["components"]!["securitySchemes"]!["bearer"]!["scheme"]));
        Assert.All(operations, operation => Assert.Equal(needs[operation.Key], (string?)operation.Value!["security"]![0]!["bearer"]![0]));
    }

    [Fact]
    public async Task Every_route_stands_in_the_reference()
    {
        var document = await DocumentAsync();
        var page = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "docs", "reference", "rest.md"), Token);
        var routes = document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(method =>
            $"| {method.Key.ToUpperInvariant()} | `{path.Key["/api/processing".Length..]}` |"));

        Assert.All(routes, route => Assert.Contains(route, page, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Every_route_succeeds_with_the_statuses_of_the_reference()
    {
        var page = await File.ReadAllLinesAsync(Path.Combine(Checkout.Root, "docs", "reference", "rest.md"), Token);
        foreach (var (path, methods) in (await DocumentAsync())["paths"]!.AsObject())
        {
            foreach (var (method, operation) in methods!.AsObject())
            {
                var row = Assert.Single(page, line => line.StartsWith($"| {method.ToUpperInvariant()} | `{path["/api/processing".Length..]}` |", StringComparison.Ordinal));
                var told = SuccessOf().Matches(row.Split('|')[^2]).Select(status => status.Value);

                Assert.Equal((row, string.Join(' ', told.Order())), (row, string.Join(' ', operation!["responses"]!.AsObject().Select(reply => reply.Key).Where(key => key[0] == '2').Order())));
            }
        }
    }

    [Theory]
    [InlineData("/workflows/execute", "post", "Idempotency-Key")]
    [InlineData("/workflows/plan", "post", "")]
    [InlineData("/sessions/{sessionId}", "get", "")]
    [InlineData("/sessions/{sessionId}", "delete", "Idempotency-Key")]
    [InlineData("/sessions/{sessionId}/events", "get", "Last-Event-ID")]
    [InlineData("/artifacts/{digest}", "get", "Range")]
    [InlineData("/artifacts", "post", "")]
    public async Task Headers_that_a_route_reads_are_told(string path, string method, string header)
    {
        var parameters = (await DocumentAsync())["paths"]!["/api/processing" + path]![method]!["parameters"]?.AsArray() ?? [];

        Assert.Equal(header, string.Join(' ', parameters.Where(one => (string?)one!["in"] == "header").Select(one => (string?)one!["name"])));
    }

    [Theory]
    [InlineData("/workflows/{workflowId}", "put", "application/yaml")]
    [InlineData("/workflows/execute", "post", "multipart/form-data")]
    public async Task Bodies_that_are_taken_beside_JSON_are_told(string path, string method, string mediaType)
    {
        var body = (await DocumentAsync())["paths"]!["/api/processing" + path]![method]!["requestBody"]!["content"]!;

        Assert.Equal(["application/json", mediaType], body.AsObject().Select(content => content.Key));
    }

    [Fact]
    public async Task The_page_to_try_it_may_load_from_here_only()
    {
        using var page = await Client.GetAsync(new Uri("/scalar/", UriKind.Relative), Token);
        var html = await page.Content.ReadAsStringAsync(Token);

        Assert.StartsWith("default-src 'self'", page.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        Assert.DoesNotContain("https://", html, StringComparison.Ordinal);
        Assert.DoesNotContain("http://", html, StringComparison.Ordinal);
    }

    [GeneratedRegex("\\b2[0-9]{2}\\b")]
    private static partial Regex SuccessOf();

    private async Task<JsonNode> DocumentAsync() =>
        JsonNode.Parse(await Client.GetStringAsync(new Uri("/openapi/v1.json", UriKind.Relative), Token))!;

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject item => item.SelectMany(entry =>
            entry.Key == "$ref" ? [((string)entry.Value!)["#/components/".Length..]] : References(entry.Value)),
        JsonArray list => list.SelectMany(References),
        _ => [],
    };
}
