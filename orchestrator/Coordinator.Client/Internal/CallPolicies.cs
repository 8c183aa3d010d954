namespace Coordinator.Client;

using Coordinator.Inference.V1;
using Coordinator.Model.V1;
using Coordinator.Postprocessing.V1;
using Coordinator.Processing.V1;
using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Net.Client.Configuration;
using ChannelRetryPolicy = Grpc.Net.Client.Configuration.RetryPolicy;
using IdempotencyLevel = Google.Protobuf.Reflection.MethodOptions.Types.IdempotencyLevel;

/// <summary>Which calls the channel tries again, or makes more than once, by what the contract says of each RPC.</summary>
internal static class CallPolicies
{
    private static readonly ServiceDescriptor[] Services =
        [ProcessingService.Descriptor, ModelService.Descriptor, InferenceService.Descriptor, PostprocessingService.Descriptor];

    private static readonly StatusCode[] Transient = [StatusCode.Unavailable, StatusCode.ResourceExhausted];

    public static ServiceConfig Of(CoordinatorClientOptions options)
    {
        var config = new ServiceConfig { RetryThrottling = new RetryThrottlingPolicy { MaxTokens = 100, TokenRatio = 0.1 } };
        if (options.Retry.MaxAttempts > 1)
        {
            foreach (var method in Services.SelectMany(service => service.Methods).Where(IsRepeatable))
            {
                config.MethodConfigs.Add(Of(method, options));
            }
        }
        return config;
    }

    // Streams have a loop of their own: a policy commits with the first headers (grpc-dotnet issue 2409).
    private static bool IsRepeatable(MethodDescriptor method) =>
        !method.IsServerStreaming && !method.IsClientStreaming && Level(method) != IdempotencyLevel.IdempotencyUnknown;

    // By name, too: what computes has no side effects, but costs as much again.
    private static bool IsRead(MethodDescriptor method) =>
        method.Name.StartsWith("Get", StringComparison.Ordinal) && Level(method) == IdempotencyLevel.NoSideEffects;

    // Of the two policies a method may have one; both make its first call fail.
    private static MethodConfig Of(MethodDescriptor method, CoordinatorClientOptions options)
    {
        var config = new MethodConfig { Names = { new MethodName { Service = method.Service.FullName, Method = method.Name } } };
        if (options.HedgeReadsAfter is { } delay && IsRead(method))
        {
            config.HedgingPolicy = Hedging(method, delay, options.Retry);
        }
        else
        {
            config.RetryPolicy = Retrying(method, options.Retry);
        }
        return config;
    }

    private static HedgingPolicy Hedging(MethodDescriptor method, TimeSpan delay, RetryOptions options)
    {
        var policy = new HedgingPolicy { MaxAttempts = options.MaxAttempts, HedgingDelay = delay };
        AddTransient(policy.NonFatalStatusCodes, method);
        return policy;
    }

    private static ChannelRetryPolicy Retrying(MethodDescriptor method, RetryOptions options)
    {
        var policy = new ChannelRetryPolicy
        {
            MaxAttempts = options.MaxAttempts,
            InitialBackoff = options.InitialBackoff,
            MaxBackoff = options.MaxBackoff,
            BackoffMultiplier = 2,
        };
        AddTransient(policy.RetryableStatusCodes, method);
        return policy;
    }

    private static void AddTransient(IList<StatusCode> codes, MethodDescriptor method)
    {
        foreach (var code in Level(method) == IdempotencyLevel.NoSideEffects ? [.. Transient, StatusCode.Aborted] : Transient)
        {
            codes.Add(code);
        }
    }

    private static IdempotencyLevel Level(MethodDescriptor method) =>
        method.GetOptions()?.IdempotencyLevel ?? IdempotencyLevel.IdempotencyUnknown;
}
