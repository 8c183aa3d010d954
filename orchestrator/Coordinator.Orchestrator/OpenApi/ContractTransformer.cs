namespace Coordinator.Orchestrator.OpenApi;

using System.Globalization;
using Coordinator.Orchestrator.Controllers;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Microsoft.AspNetCore.Mvc.ApiExplorer;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

/// <summary>Puts the messages of the contract into the document: bodies, replies, queries, refusals, examples.</summary>
internal sealed class ContractTransformer : IOpenApiDocumentTransformer
{
    private const string Json = "application/json";

    private static readonly int[] Refused = [400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504];

    public Task TransformAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.Info = new OpenApiInfo { Title = "Coordinator", Version = "1.0.0", Description = "Workflows as durable sessions and batches, over REST." };
        document.Servers?.Clear();
        document.Components = new OpenApiComponents(); // the framework's own schemas of messages are empty
        document.Components.Responses = Refusals(document);
        SecuritySchema.Add(document);
        var schemas = new MessageSchemas(document, new MessageTexts());
        foreach (var description in context.DescriptionGroups.SelectMany(group => group.Items))
        {
            var operation = document.Paths["/" + description.RelativePath].Operations![new HttpMethod(description.HttpMethod!)];
            Transform(operation, description, document, schemas);
        }
        return Task.CompletedTask;
    }

    private static void Transform(OpenApiOperation operation, ApiDescription description, OpenApiDocument document, MessageSchemas schemas)
    {
        operation.OperationId = description.ActionDescriptor.RouteValues["action"];
        var metadata = description.ActionDescriptor.EndpointMetadata;
        var media = metadata.OfType<MediaAttribute>().FirstOrDefault();
        AddQuery(operation, metadata.OfType<QueryAttribute>().FirstOrDefault(), schemas);
        AddPlain(operation, PlainParameters.Of(description.HttpMethod!, description.RelativePath!, media));
        SetBody(operation, description, schemas);
        SetMedia(operation, media);
        operation.Responses = Replies(metadata.OfType<SuccessAttribute>().FirstOrDefault(), ReplyContent(description, media, document, schemas));
        AddRefusals(operation, document);
        operation.Security = SecuritySchema.Of(document, description.HttpMethod!);
    }

    private static void SetBody(OpenApiOperation operation, ApiDescription description, MessageSchemas schemas)
    {
        var body = description.ParameterDescriptions.FirstOrDefault(parameter => parameter.Type?.IsAssignableTo(typeof(IMessage)) == true);
        if (body is null || operation.RequestBody is not OpenApiRequestBody request)
        {
            return;
        }
        var message = MessageJsonConverter.DescriptorOf(body.Type);
        var content = new OpenApiMediaType { Schema = schemas.Of(message), Example = Example(message) };
        request.Content = new Dictionary<string, OpenApiMediaType> { [Json] = content };
    }

    private static System.Text.Json.Nodes.JsonNode? Example(MessageDescriptor message) =>
        Examples.Bodies.TryGetValue(message.Name, out var json) ? Examples.Parse(json) : null;

    private static void SetMedia(OpenApiOperation operation, MediaAttribute? media)
    {
        if (media is { Request.Length: > 0 })
        {
            operation.RequestBody = new OpenApiRequestBody { Required = true, Content = Binary(media.Request) };
        }
        if (media is { OtherRequest.Length: > 0 })
        {
            operation.RequestBody!.Content![media.OtherRequest] = new OpenApiMediaType { Schema = OtherBody(media.OtherRequest) };
        }
    }

    /// <summary>A form has fields and files of any name; else it is text.</summary>
    private static OpenApiSchema OtherBody(string mediaType) => mediaType == "multipart/form-data"
        ? new OpenApiSchema { Type = JsonSchemaType.Object, AdditionalPropertiesAllowed = true }
        : new OpenApiSchema { Type = JsonSchemaType.String };

    private static Dictionary<string, OpenApiMediaType> Binary(string mediaType) => new()
    {
        [mediaType] = new OpenApiMediaType { Schema = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" } },
    };

    private static OpenApiResponses Replies(SuccessAttribute? success, Dictionary<string, OpenApiMediaType> content)
    {
        var replies = new OpenApiResponses();
        foreach (var status in success?.Statuses ?? [StatusCodes.Status200OK])
        {
            var isEmpty = status == StatusCodes.Status204NoContent;
            replies[status.ToString(CultureInfo.InvariantCulture)] = new OpenApiResponse { Description = SuccessText(status), Content = isEmpty ? null : content };
        }
        return replies;
    }

    private static string SuccessText(int status) => status switch
    {
        StatusCodes.Status201Created => "Made; Location is where it can be read.",
        StatusCodes.Status202Accepted => "Accepted, and not done yet.",
        StatusCodes.Status204NoContent => "Nothing will come any more.",
        StatusCodes.Status206PartialContent => "The rest, from the offset of Range.",
        _ => "Done.",
    };

    private static Dictionary<string, OpenApiMediaType> ReplyContent(
        ApiDescription description, MediaAttribute? media, OpenApiDocument document, MessageSchemas schemas)
    {
        if (media is { Reply.Length: > 0 })
        {
            return Binary(media.Reply);
        }
        var reply = description.SupportedResponseTypes.Select(type => type.Type).First(IsEnvelope)!;
        var message = MessageJsonConverter.DescriptorOf(reply.GenericTypeArguments[0]);
        return new() { [Json] = new OpenApiMediaType { Schema = Envelope(document, schemas.Of(message)) } };
    }

    private static bool IsEnvelope(Type? type) => type is { IsGenericType: true } && type.GetGenericTypeDefinition() == typeof(ApiResponse<>);

    /// <summary>The reply around a message.</summary>
    private static OpenApiSchema Envelope(OpenApiDocument document, IOpenApiSchema? data)
    {
        var properties = new Dictionary<string, IOpenApiSchema>
        {
            ["success"] = new OpenApiSchema { Type = JsonSchemaType.Boolean },
            ["message"] = new OpenApiSchema { Type = JsonSchemaType.String },
            ["error"] = ErrorSchema.Of(document),
            ["warnings"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = JsonSchemaType.String } },
            ["traceId"] = new OpenApiSchema { Type = JsonSchemaType.String, Pattern = "^[0-9a-f]{32}$" },
        };
        if (data is not null)
        {
            properties["data"] = data;
        }
        return new OpenApiSchema { Type = JsonSchemaType.Object, Required = new HashSet<string> { "success" }, Properties = properties };
    }

    private static void AddQuery(OpenApiOperation operation, QueryAttribute? query, MessageSchemas schemas)
    {
        if (query is null)
        {
            return;
        }
        operation.Parameters ??= [];
        foreach (var parameter in QueryParameters.Of(MessageJsonConverter.DescriptorOf(query.Message), schemas))
        {
            if (parameter.Name != query.RouteField)
            {
                operation.Parameters.Add(parameter);
            }
        }
    }

    private static void AddPlain(OpenApiOperation operation, IEnumerable<OpenApiParameter> parameters)
    {
        foreach (var parameter in parameters)
        {
            (operation.Parameters ??= []).Add(parameter);
        }
    }

    private static void AddRefusals(OpenApiOperation operation, OpenApiDocument document)
    {
        foreach (var status in Refused)
        {
            var name = status.ToString(CultureInfo.InvariantCulture);
            operation.Responses![name] = new OpenApiResponseReference($"Refused{name}", document);
        }
    }

    /// <summary>The refusals that all routes share.</summary>
    private static Dictionary<string, IOpenApiResponse> Refusals(OpenApiDocument document) => Refused.ToDictionary(
        status => string.Create(CultureInfo.InvariantCulture, $"Refused{status}"),
        status => (IOpenApiResponse)new OpenApiResponse { Description = ErrorSchema.TextOf(status), Content = Refusal(document, status) });

    private static Dictionary<string, OpenApiMediaType> Refusal(OpenApiDocument document, int status) => new()
    {
        [Json] = new OpenApiMediaType { Schema = Envelope(document, null), Example = Examples.Parse(Examples.Refusals[status]) },
    };
}
