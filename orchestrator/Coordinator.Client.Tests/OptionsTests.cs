namespace Coordinator.Client.Tests;

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

public sealed class OptionsTests
{
    public static TheoryData<string, Action<CoordinatorClientOptions>> Faults => new()
    {
        { "Address 'localhost:50051' is none", options => options.Address = "localhost:50051" },
        { "Address '' is none", options => options.Address = "" },
        { "AccessToken would be readable", Remote },
        { "Timeout must be more than 0", options => options.Timeout = TimeSpan.Zero },
        { "StreamTimeout must be more than 0", options => options.StreamTimeout = TimeSpan.FromSeconds(-1) },
        { "KeepAlive.Delay must be at least 10 seconds", options => options.KeepAlive.Delay = TimeSpan.FromSeconds(5) },
        { "Retry.MaxAttempts must be 1 to 5", options => options.Retry.MaxAttempts = 6 },
        { "Address 'static:///coordinator' is none", options => options.Address = "static:///coordinator" },
        { "MaxMessageSize must be at least 16384 bytes", options => options.MaxMessageSize = 16_383 },
        { "HedgeReadsAfter must be more than 0", options => options.HedgeReadsAfter = TimeSpan.Zero },
        { "HedgeReadsAfter needs a Retry.MaxAttempts of at least 2", HedgedOnce },
        { "ReconnectWindow must not be less than 0", options => options.ReconnectWindow = TimeSpan.FromSeconds(-1) },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_wrong_option_is_named_with_what_is_right(string text, Action<CoordinatorClientOptions> spoil)
    {
        ArgumentNullException.ThrowIfNull(spoil);
        var options = new CoordinatorClientOptions();
        spoil(options);

        var error = Assert.Throws<OptionsValidationException>(() => CoordinatorClient.Create(options));

        Assert.Contains(text, Assert.Single(error.Failures), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://127.0.0.1:1")]
    [InlineData("https://coordinator.example:443")]
    [InlineData("unix:/run/coordinator.sock")]
    [InlineData("unix:///run/coordinator.sock")]
    public void A_token_may_go_where_nobody_can_read_it(string address)
    {
        using var client = CoordinatorClient.Create(new CoordinatorClientOptions { Address = address, AccessToken = _ => ValueTask.FromResult("t") });

        Assert.NotNull(client.Processing);
    }

    [Fact]
    public async Task A_host_has_one_client_and_its_parts()
    {
        await using var services = new ServiceCollection().AddCoordinatorClient(options => options.Address = "http://127.0.0.1:1").Services.BuildServiceProvider();

        var client = services.GetRequiredService<CoordinatorClient>();

        Assert.Same(client.Processing, services.GetRequiredService<ProcessingClient>());
        Assert.Same(client.Models, services.GetRequiredService<ModelClient>());
        Assert.Same(client.Inference, services.GetRequiredService<InferenceClient>());
        Assert.Same(client.Postprocessing, services.GetRequiredService<PostprocessingClient>());
    }

    [Fact]
    public async Task A_host_is_told_of_wrong_options()
    {
        await using var services = new ServiceCollection().AddCoordinatorClient(Remote).Services.BuildServiceProvider();

        Assert.Throws<OptionsValidationException>(services.GetRequiredService<CoordinatorClient>);
    }

    private static void HedgedOnce(CoordinatorClientOptions options)
    {
        options.HedgeReadsAfter = TimeSpan.FromSeconds(1);
        options.Retry.MaxAttempts = 1;
    }

    private static void Remote(CoordinatorClientOptions options)
    {
        options.Address = "http://coordinator.example:50051";
        options.AccessToken = _ => ValueTask.FromResult("secret");
    }
}
