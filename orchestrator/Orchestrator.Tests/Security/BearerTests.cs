namespace Coordinator.Orchestrator.Tests.Security;

using System.Net;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

/// <summary>A web API that was told of an issuer asks for its tokens.</summary>
public sealed class BearerTests : OrchestratorTest
{
    private const string Execute = "workflows/execute";

    private readonly Issuer _issuer = new();

    /// <summary>What each method of a route needs, and what is one less.</summary>
    private static readonly Dictionary<string, (string Enough, string TooLittle)> Needs = new()
    {
        ["GET"] = ("read", "other"),
        ["POST"] = ("operate", "read"),
        ["PUT"] = ("admin", "operate"),
        ["DELETE"] = ("admin", "operate"),
    };

    [Fact]
    public async Task Every_route_wants_a_token_that_is_enough_for_its_method()
    {
        Fake.AfterUpdates = FakeCoordinator.Refusal(Grpc.Core.StatusCode.NotFound, "SESSION_NOT_FOUND", "no");
        foreach (var (method, route) in Routes())
        {
            using var without = await SendAsync(new(method), route, null);
            using var tooLittle = await SendAsync(new(method), route, null, _issuer.Header(Needs[method].TooLittle));
            var asked = Fake.Requests.Count;
            using var enough = await SendAsync(new(method), route, null, _issuer.Header(Needs[method].Enough));

            Assert.Equal((method, route, 401, 403, 0), (method, route, (int)without.StatusCode, (int)tooLittle.StatusCode, asked));
            Assert.False((int)enough.StatusCode is 401 or 403, $"{method} {route}: {enough.StatusCode}");
            Fake.Requests.Clear();
        }
    }

    [Theory]
    [InlineData("read", 200, 403, 403)]
    [InlineData("operate", 200, 200, 403)]
    [InlineData("admin", 200, 200, 200)]
    [InlineData("openid profile read", 200, 403, 403)]
    [InlineData("reader", 403, 403, 403)]
    [InlineData("Admin", 403, 403, 403)]
    public async Task Who_may_do_one_may_do_all_before_it(string scope, int get, int post, int delete)
    {
        using var looks = await GetAsync("sessions/any", _issuer.Header(scope));
        using var controls = await PostAsync("sessions/any/control", "{}", _issuer.Header(scope));
        using var removes = await SendAsync(HttpMethod.Delete, "workflows/any", null, _issuer.Header(scope));

        Assert.Equal((get, post == 200 ? 202 : post), ((int)looks.StatusCode, (int)controls.StatusCode));
        Assert.Equal(delete == 403, removes.StatusCode == HttpStatusCode.Forbidden);
    }

    [Theory]
    [InlineData("scope", "operate")]
    [InlineData("scp", "openid operate")]
    [InlineData("role", "operate")]
    [InlineData("roles", "operate")]
    public async Task Scopes_and_roles_stand_in_the_claims_that_issuers_use(string claim, string value)
    {
        using var text = await PostAsync(Execute, "{}", ("Authorization", "Bearer " + _issuer.Token(claim, value)));
        using var list = await PostAsync(Execute, "{}", ("Authorization", "Bearer " + _issuer.Token(claim, value.Split(' '))));
        using var other = await PostAsync(Execute, "{}", ("Authorization", "Bearer " + _issuer.Token("sub_" + claim, value)));

        Assert.Equal((200, 200, 403), ((int)text.StatusCode, (int)list.StatusCode, (int)other.StatusCode));
    }

    [Fact]
    public async Task A_caller_without_a_token_is_told_in_the_one_shape()
    {
        using var response = await GetAsync("sessions");
        using var problem = await GetAsync("sessions", ("Accept", "application/problem+json"));
        var body = await JsonAsync(response);

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.Equal("Bearer", response.Headers.WwwAuthenticate.Single().ToString());
        Assert.Equal(("UNAUTHENTICATED", "UNAUTHENTICATED"), ((string?)body["error"]!["code"], (string?)body["error"]!["reason"]));
        Assert.Equal((false, 32), ((bool)body["success"]!, ((string)body["traceId"]!).Length));
        Assert.Equal(401, (int)(await JsonAsync(problem))["status"]!);
    }

    [Fact]
    public async Task A_token_that_is_not_enough_is_told_what_would_be()
    {
        using var response = await PostAsync(Execute, "{}", _issuer.Header("read"));
        var body = await JsonAsync(response);

        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        Assert.Equal("Bearer error=\"insufficient_scope\", scope=\"operate\"", response.Headers.WwwAuthenticate.Single().ToString());
        Assert.Equal("PERMISSION_DENIED", (string?)body["error"]!["reason"]);
        Assert.Contains("'operate'", (string?)body["message"], StringComparison.Ordinal);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task A_token_that_is_not_valid_is_401_and_says_so()
    {
        var tokens = new Dictionary<string, string>
        {
            ["no token"] = "garbage",
            ["nobody signed it"] = _issuer.TokenWithoutSignature("scope", "admin"),
            ["of another key"] = _issuer.Forged().Token("scope", "admin"),
            ["of another issuer"] = _issuer.With(name: "https://other.example").Token("scope", "admin"),
            ["for another audience"] = _issuer.With(audience: "other").Token("scope", "admin"),
            ["too old"] = _issuer.With(ends: DateTime.UtcNow.AddHours(-1)).Token("scope", "admin"),
            ["too young"] = _issuer.With(ends: DateTime.UtcNow.AddHours(4)).Token("scope", "admin"),
        };
        foreach (var (what, token) in tokens)
        {
            using var response = await GetAsync("sessions", ("Authorization", "Bearer " + token));

            Assert.Equal((what, HttpStatusCode.Unauthorized), (what, response.StatusCode));
            Assert.StartsWith("Bearer error=\"invalid_token\"", response.Headers.WwwAuthenticate.Single().ToString(), StringComparison.Ordinal);
            Assert.Equal("UNAUTHENTICATED", (string?)(await JsonAsync(response))["error"]!["reason"]);
        }
        Assert.Empty(Fake.Requests);
    }

    [Theory]
    [InlineData("/health/live", 200, 200)]
    [InlineData("/health/ready", 200, 200)]
    [InlineData("/metrics", 401, 200)]
    [InlineData("/openapi/v1.json", 401, 200)]
    [InlineData("/nowhere", 401, 404)]
    [InlineData("/api/processing/nowhere", 401, 404)]
    public async Task Only_health_is_open_to_all(string path, int without, int with)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(path, UriKind.Relative));
        var (name, value) = _issuer.Header("read");
        using var anonymous = await Client.GetAsync(request.RequestUri, Token);
        request.Headers.Add(name, value);
        using var known = await Client.SendAsync(request, Token);

        Assert.Equal((without, with), ((int)anonymous.StatusCode, (int)known.StatusCode));
    }

    [Fact]
    public async Task The_token_of_the_caller_stays_here()
    {
        using var response = await GetAsync("workflows/any", _issuer.Header("read"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.DoesNotContain(Fake.Headers, header => header.Key == "authorization");
    }

    [Fact]
    public async Task A_section_that_no_token_could_satisfy_ends_the_program_at_its_start()
    {
        await using var application = new WebApplicationFactory<Program>().WithWebHostBuilder(builder =>
        {
            builder.UseSetting("Authentication:Schemes:Bearer:ValidIssuer", _issuer.Name);
            builder.ConfigureLogging(logging => logging.ClearProviders());
        });

        var error = Assert.Throws<OptionsValidationException>(() => application.Server.BaseAddress);

        Assert.Contains("SigningKeys", error.Message, StringComparison.Ordinal);
    }

    protected override void Configure(IWebHostBuilder builder)
    {
        _issuer.Configure(builder);
        builder.UseSetting("Orchestrator:TryPage", "false");
    }

    /// <summary>Every route below <c>api/processing/</c>, of one thing that may not be there.</summary>
    private List<(string Method, string Route)> Routes()
    {
        var endpoints = Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>();
        var routes = endpoints.Where(endpoint => endpoint.RoutePattern.RawText!.StartsWith("api/", StringComparison.Ordinal))
            .Select(endpoint => (endpoint.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods.Single(), Concrete(endpoint))).ToList();
        Assert.True(routes.Count > 20);
        return routes;
    }

    private static string Concrete(RouteEndpoint endpoint) =>
        string.Join('/', endpoint.RoutePattern.PathSegments.Skip(2).Select(segment => segment.Parts[0] is Microsoft.AspNetCore.Routing.Patterns.RoutePatternLiteralPart literal ? literal.Content : "any"));
}
