namespace Coordinator.Orchestrator.Tests.Security;

using System.Security.Cryptography;
using Microsoft.AspNetCore.Hosting;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

/// <summary>Issues tokens, signed with a key that the web API is told.</summary>
public sealed class Issuer
{
    private const string Section = "Authentication:Schemes:Bearer:";
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(32);

    /// <summary>Its name.</summary>
    public string Name { get; init; } = "https://issuer.example";

    /// <summary>For whom its tokens are.</summary>
    public string Audience { get; init; } = "orchestrator";

    /// <summary>When its tokens end; they begin an hour before.</summary>
    public DateTime Ends { get; init; } = DateTime.UtcNow.AddHours(1);

    /// <summary>Tells a web API of it.</summary>
    public void Configure(IWebHostBuilder builder)
    {
        builder.UseSetting(Section + "ValidIssuer", Name);
        builder.UseSetting(Section + "ValidAudiences:0", Audience);
        builder.UseSetting(Section + "SigningKeys:0:Issuer", Name);
        builder.UseSetting(Section + "SigningKeys:0:Value", Convert.ToBase64String(_key));
    }

    /// <summary>Another issuer that says of itself what this one does, with another key.</summary>
    public Issuer Forged() => new() { Name = Name, Audience = Audience, Ends = Ends };

    /// <summary>The same issuer, with the same key, of other tokens.</summary>
    public Issuer With(string? name = null, string? audience = null, DateTime? ends = null)
    {
        var other = new Issuer { Name = name ?? Name, Audience = audience ?? Audience, Ends = ends ?? Ends };
        _key.CopyTo(other._key, 0);
        return other;
    }

    /// <summary>A token with one claim: a text, or a list of them.</summary>
    public string Token(string claim, object value) => Token(claim, value, new(new SymmetricSecurityKey(_key), SecurityAlgorithms.HmacSha256));

    /// <summary>A token that nobody signed.</summary>
    public string TokenWithoutSignature(string claim, object value) => Token(claim, value, null);

    /// <summary>The header with a token of that scope.</summary>
    public (string Name, string Value) Header(string scope) => ("Authorization", "Bearer " + Token("scope", scope));

    private string Token(string claim, object value, SigningCredentials? credentials) => new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
    {
        Issuer = Name,
        Audience = Audience,
        NotBefore = Ends.AddHours(-2),
        IssuedAt = Ends.AddHours(-2),
        Expires = Ends,
        Claims = new Dictionary<string, object> { ["sub"] = "someone", [claim] = value },
        SigningCredentials = credentials,
    });
}
