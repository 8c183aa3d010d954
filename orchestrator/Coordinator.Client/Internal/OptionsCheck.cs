namespace Coordinator.Client;

using Microsoft.Extensions.Options;

/// <summary>Says of options what is wrong with them, all of it at once.</summary>
internal sealed class OptionsCheck : IValidateOptions<CoordinatorClientOptions>
{
    private const int SmallestMessage = 16 << 10;

    private static readonly TimeSpan ShortestDelay = TimeSpan.FromSeconds(10);

    /// <exception cref="OptionsValidationException">Something is wrong.</exception>
    public static void Demand(CoordinatorClientOptions options)
    {
        var faults = Faults(options).ToList();
        if (faults.Count > 0)
        {
            throw new OptionsValidationException("", typeof(CoordinatorClientOptions), faults);
        }
    }

    public ValidateOptionsResult Validate(string? name, CoordinatorClientOptions options)
    {
        var faults = Faults(options).ToList();
        return faults.Count > 0 ? ValidateOptionsResult.Fail(faults) : ValidateOptionsResult.Success;
    }

    private static IEnumerable<string> Faults(CoordinatorClientOptions options) =>
        OfAddress(options).Concat(OfTimes(options)).Concat(OfNumbers(options));

    private static IEnumerable<string> OfAddress(CoordinatorClientOptions options)
    {
        var (address, fault) = Address(options.Address);
        if (fault is not null)
        {
            yield return fault;
        }
        if (address is { IsEncrypted: false, IsLocal: false } && options is { AccessToken: not null, AllowTokenWithoutTls: false })
        {
            yield return $"AccessToken would be readable on the way to {options.Address}; use https, or set AllowTokenWithoutTls";
        }
    }

    private static (CoordinatorAddress? Address, string? Fault) Address(string text)
    {
        try
        {
            return (CoordinatorAddress.Parse(text), null);
        }
        catch (ArgumentException error)
        {
            return (null, error.Message);
        }
    }

    private static IEnumerable<string> OfTimes(CoordinatorClientOptions options)
    {
        (string Name, TimeSpan Value)[] times =
        [
            (nameof(options.Timeout), options.Timeout),
            (nameof(options.StreamTimeout), options.StreamTimeout),
            (nameof(options.KeepAlive) + ".Timeout", options.KeepAlive.Timeout),
            (nameof(options.Retry) + ".InitialBackoff", options.Retry.InitialBackoff),
            (nameof(options.Retry) + ".MaxBackoff", options.Retry.MaxBackoff),
        ];
        foreach (var (name, _) in times.Where(time => time.Value <= TimeSpan.Zero))
        {
            yield return $"{name} must be more than 0";
        }
        if (options.ReconnectWindow < TimeSpan.Zero)
        {
            yield return "ReconnectWindow must not be less than 0";
        }
        if (options.HedgeReadsAfter <= TimeSpan.Zero)
        {
            yield return "HedgeReadsAfter must be more than 0";
        }
        if (options.KeepAlive.Delay < ShortestDelay)
        {
            yield return "KeepAlive.Delay must be at least 10 seconds: the coordinator ends connections that ping more often";
        }
    }

    private static IEnumerable<string> OfNumbers(CoordinatorClientOptions options)
    {
        if (options.Retry.MaxAttempts is < 1 or > 5)
        {
            yield return "Retry.MaxAttempts must be 1 to 5";
        }
        if (options is { HedgeReadsAfter: not null, Retry.MaxAttempts: 1 })
        {
            yield return "HedgeReadsAfter needs a Retry.MaxAttempts of at least 2";
        }
        if (options.MaxMessageSize < SmallestMessage)
        {
            yield return $"MaxMessageSize must be at least {SmallestMessage} bytes";
        }
    }
}
