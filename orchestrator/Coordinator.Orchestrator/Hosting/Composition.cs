namespace Coordinator.Orchestrator.Hosting;

using Coordinator.Client;
using Coordinator.Orchestrator.Binary;
using Coordinator.Orchestrator.Health;
using Coordinator.Orchestrator.OpenApi;
using Coordinator.Orchestrator.Responses;
using Coordinator.Orchestrator.Security;
using Coordinator.Orchestrator.Services;
using Coordinator.Orchestrator.Streams;
using Coordinator.Orchestrator.Telemetry;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

/// <summary>What the program is made of.</summary>
internal static class Composition
{
    private const string Coordinator = "Coordinator";

    /// <summary>All services.</summary>
    public static void AddOrchestrator(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddOptions<OrchestratorOptions>().BindConfiguration(OrchestratorOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton(TimeProvider.System);
        AddCoordinator(services);
        AddUseCases(services);
        services.AddWeb();
        services.AddInFlightLimit();
        services.AddOpenApi(options => options.AddDocumentTransformer<ContractTransformer>());
        services.AddHealthChecks().AddCheck<CoordinatorHealthCheck>("coordinator");
        builder.AddBearer();
        builder.AddTelemetry();
        builder.ConfigureLimits();
    }

    /// <summary>All routes, and what stands before them.</summary>
    public static void MapOrchestrator(this WebApplication application)
    {
        application.UseExceptionHandler();
        application.UseStatusCodePages(context => RefusalWriter.WriteAsync(context.HttpContext, Refusals.OfHttp(context.HttpContext.Response.StatusCode)));
        application.UseBearer();
        application.UseRateLimiter();
        application.UseRequestNotes();
        application.MapControllers();
        application.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false }).AllowAnonymous();
        application.MapHealthChecks("/health/ready").AllowAnonymous();
        application.MapPrometheusScrapingEndpoint();
        application.MapDocument();
    }

    /// <summary>The document, and the page that shows it; a browser has no token for either, so the page opens both.</summary>
    private static void MapDocument(this WebApplication application)
    {
        var document = application.MapOpenApi();
        if (application.Services.GetRequiredService<IOptions<OrchestratorOptions>>().Value.TryPage)
        {
            document.AllowAnonymous();
            application.MapTryPage();
        }
    }

    private static void AddCoordinator(IServiceCollection services)
    {
        services.AddHttpContextAccessor();
        services.AddSingleton<TokenForwarding>();
        services.AddSingleton<ErrorTranslator>();
        services.AddCoordinatorClient()
            .BindConfiguration(Coordinator)
            .Configure<TokenForwarding>((options, forwarding) => options.AccessToken = forwarding.TokenAsync);
    }

    private static void AddUseCases(IServiceCollection services)
    {
        services.AddSingleton<OrchestratorTelemetry>();
        services.AddSingleton<OperationMonitor>();
        services.AddSingleton<IServiceProcessing, ServiceProcessing>();
        services.AddSingleton<ArtifactContent>();
        services.AddSingleton<Upload>();
        services.AddSingleton<Download>();
        services.AddSingleton<EventStream>();
        services.AddSingleton<Draining>();
        services.AddHostedService(provider => provider.GetRequiredService<Draining>());
    }
}
