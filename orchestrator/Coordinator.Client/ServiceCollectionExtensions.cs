namespace Coordinator.Client;

using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

/// <summary>Registers the client with a host.</summary>
public static class ServiceCollectionExtensions
{
    /// <summary>
    /// Adds one <see cref="CoordinatorClient"/>, and its four clients, for the whole host. Bind or validate more on what is
    /// returned.
    /// </summary>
    public static OptionsBuilder<CoordinatorClientOptions> AddCoordinatorClient(
        this IServiceCollection services, Action<CoordinatorClientOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<CoordinatorClientOptions>>(new OptionsCheck()));
        services.TryAddSingleton(Create);
        services.TryAddSingleton(provider => provider.GetRequiredService<CoordinatorClient>().Processing);
        services.TryAddSingleton(provider => provider.GetRequiredService<CoordinatorClient>().Models);
        services.TryAddSingleton(provider => provider.GetRequiredService<CoordinatorClient>().Inference);
        services.TryAddSingleton(provider => provider.GetRequiredService<CoordinatorClient>().Postprocessing);
        var builder = services.AddOptions<CoordinatorClientOptions>();
        return configure is null ? builder : builder.Configure(configure);
    }

    private static CoordinatorClient Create(IServiceProvider provider)
    {
        var options = provider.GetRequiredService<IOptions<CoordinatorClientOptions>>().Value;
        options.LoggerFactory ??= provider.GetService<ILoggerFactory>();
        return CoordinatorClient.Create(options);
    }
}
