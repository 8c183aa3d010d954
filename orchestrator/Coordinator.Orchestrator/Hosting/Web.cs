namespace Coordinator.Orchestrator.Hosting;

using System.Text.Json;
using System.Text.Json.Serialization;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Binary;
using Coordinator.Orchestrator.Controllers;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Orchestrator.Telemetry;
using Google.Protobuf;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.ModelBinding;
using Microsoft.AspNetCore.Mvc.ModelBinding.Metadata;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

/// <summary>How requests are read and replies written.</summary>
internal static class Web
{
    /// <summary>Controllers, JSON, refusals.</summary>
    public static void AddWeb(this IServiceCollection services)
    {
        services.AddProblemDetails();
        services.AddExceptionHandler<ErrorHandler>();
        services.ConfigureHttpJsonOptions(options => Apply(options.SerializerOptions));
        services.AddControllers(Configure)
            .ConfigureApplicationPartManager(parts => parts.FeatureProviders.Add(new InternalControllers()))
            .ConfigureApiBehaviorOptions(Configure)
            .AddJsonOptions(options => Apply(options.JsonSerializerOptions));
    }

    /// <summary>Every request has its notes, and those that carry content a limit of their own.</summary>
    public static void UseRequestNotes(this WebApplication application)
    {
        var telemetry = application.Services.GetRequiredService<OrchestratorTelemetry>();
        var longest = application.Services.GetRequiredService<IOptions<OrchestratorOptions>>().Value.MaxContentBytes;
        application.Use((context, next) =>
        {
            context.Features.Set(new RequestNotes(telemetry));
            RefuseEncoded(context.Request);
            if (CarriesContent(context) && context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            {
                limit.MaxRequestBodySize = longest;
            }
            return next(context);
        });
    }

    /// <summary>Bodies are read as they come: what is compressed would be no JSON, or be stored compressed without a word of it.</summary>
    private static void RefuseEncoded(HttpRequest request)
    {
        if (request.Headers.ContentEncoding.ToString() is { Length: > 0 } encoding && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
        {
            throw new RequestRefusedException([new FieldFault(ErrorReason.FieldInvalid, "Content-Encoding", "bodies are taken without one")])
            {
                StatusCode = StatusCodes.Status415UnsupportedMediaType,
            };
        }
    }

    private static bool CarriesContent(HttpContext context) =>
        context.GetEndpoint()?.Metadata.GetMetadata<MediaAttribute>() is { Request.Length: > 0 }
        || context.Request.ContentType?.StartsWith("multipart/form-data", StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>Largest bodies of requests, and the longest end of the process.</summary>
    public static void ConfigureLimits(this WebApplicationBuilder builder)
    {
        builder.Services.AddOptions<KestrelServerOptions>()
            .Configure<IOptions<OrchestratorOptions>>((kestrel, options) => kestrel.Limits.MaxRequestBodySize = options.Value.MaxBodyBytes);
        builder.Services.AddOptions<HostOptions>()
            .Configure<IOptions<OrchestratorOptions>>((host, options) => host.ShutdownTimeout = options.Value.DrainDelay + TimeSpan.FromSeconds(30));
    }

    private static void Configure(MvcOptions options)
    {
        options.InputFormatters.Insert(0, new MessageInputFormatter());
        options.InputFormatters.Insert(1, new MultipartFormatter());
        options.InputFormatters.Insert(2, new DefinitionFormatter());
        options.ValueProviderFactories.RemoveType<FormValueProviderFactory>(); // forms are streamed, never read whole
        options.ValueProviderFactories.RemoveType<FormFileValueProviderFactory>();
        options.ValueProviderFactories.RemoveType<JQueryFormValueProviderFactory>();
        options.Filters.Add(new EnvelopeFilter());
        options.ModelMetadataDetailsProviders.Add(new SuppressChildValidationMetadataProvider(typeof(IMessage)));
        options.ModelMetadataDetailsProviders.Add(new SystemTextJsonValidationMetadataProvider());
    }

    private static void Configure(ApiBehaviorOptions options)
    {
        options.SuppressMapClientErrors = true;
        options.InvalidModelStateResponseFactory = context => throw ModelStateRefusal.Of(context.ModelState);
    }

    /// <summary>The same for controllers and for all else that writes JSON.</summary>
    private static void Apply(JsonSerializerOptions options)
    {
        options.NumberHandling = JsonNumberHandling.Strict;
        options.AllowDuplicateProperties = false;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
        options.Converters.Add(new MessageJsonConverter());
        options.Converters.Add(new JsonStringEnumConverter(allowIntegerValues: false));
    }
}
